/**
 * commands/commands.h -- one function a command of the user.
 *
 * Each gets argv from its own name on, and returns the exit code: 0 done,
 * 1 failed, 2 usage.  Errors go to stderr in one line that says what to do.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef COMMANDS_COMMANDS_H
#define COMMANDS_COMMANDS_H

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

int command_serve(int argc, char **argv);
int command_listen(int argc, char **argv);
int command_receive(int argc, char **argv);
int command_demo(int argc, char **argv);
int command_publish(int argc, char **argv);
int command_start(int argc, char **argv);
int command_pause(int argc, char **argv);
int command_resume(int argc, char **argv);
int command_stop(int argc, char **argv);
int command_status(int argc, char **argv);
int command_rooms(int argc, char **argv);
int command_tasks(int argc, char **argv);
int command_erase(int argc, char **argv);
int command_endpoints(int argc, char **argv);
int command_deliveries(int argc, char **argv);
int command_replay(int argc, char **argv);
int command_trigger(int argc, char **argv);
int command_sign(int argc, char **argv);
int command_ticket(int argc, char **argv);
int command_verify(int argc, char **argv);
int command_doctor(int argc, char **argv);
int command_version(int argc, char **argv);

/**
 * Say in one line on stderr which option getopt_long refused.
 *
 * command   "serve"
 * opt       what it returned: ':' (the option string must begin with one)
 *           or '?', with opterr 0
 *
 * Returns EXIT_USAGE.
 */
int command_bad_option(const char *command, int opt, char **argv);

/** Run `tapeop argv[1] ...`: finds the command, or prints help. */
int commands_run(int argc, char **argv);

#endif
