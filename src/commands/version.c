/** commands/version.c -- `tapeop version`. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include <curl/curl.h>
#include <jansson.h>
#include <lame/lame.h>
#include <microhttpd.h>
#include <openssl/crypto.h>
#include <opus/opus.h>
#include <sqlite3.h>
#include <yaml.h>
#include <zlib.h>

#include "commands/commands.h"
#include "commands/version.h"

static const char help[] =
	"usage: tapeop version\n"
	"\n"
	"Print the version of tapeop and of the libraries it runs with.\n";

int command_version(int argc, char **argv)
{
	if (argc > 1 &&
	    (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
		fputs(help, stdout);
		return EXIT_DONE;
	}
	if (argc > 1) {
		fputs("tapeop version: takes no arguments\n", stderr);
		return EXIT_USAGE;
	}
	printf("tapeop %s\n", TAPEOP_VERSION);
	printf("  %s\n", opus_get_version_string());
	printf("  lame %s\n", get_lame_version());
	printf("  %s\n", OpenSSL_version(OPENSSL_VERSION));
	printf("  libcurl %s\n", curl_version_info(CURLVERSION_NOW)->version);
	printf("  libmicrohttpd %s\n", MHD_get_version());
	printf("  jansson %s\n", jansson_version_str());
	printf("  SQLite %s\n", sqlite3_libversion());
	printf("  libyaml %s\n", yaml_get_version_string());
	printf("  zlib %s\n", zlibVersion());
	return EXIT_DONE;
}
