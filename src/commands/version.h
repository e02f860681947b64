/** commands/version.h -- which version of tapeop this is. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef COMMANDS_VERSION_H
#define COMMANDS_VERSION_H

#define TAPEOP_VERSION "0.1.0"

#endif
