/** commands/version.h -- which version of tapeop this is. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef COMMANDS_VERSION_H
#define COMMANDS_VERSION_H

#include <tapeop.h> /* TAPEOP_VERSION */

#endif
