/** main.c -- names the command and runs it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/commands.h"

int main(int argc, char **argv)
{
	return commands_run(argc, argv);
}
