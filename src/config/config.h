/**
 * config/config.h -- every setting in one table (settings.def); a YAML file
 * -> each part's own config struct.
 *
 * The file is read as libyaml events against the table: unknown keys,
 * duplicates, wrong types, bad ranges, missing secrets and too much of
 * anything stop the load with `file:line:column: key: what is permitted`.
 * A secret is a literal, `env:NAME` or `file:PATH` (base/secret.h); it is
 * never logged.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "notify/notify.h"
#include "rooms/rooms.h"

enum {
	CONFIG_LISTEN_MAX = 4,
	CONFIG_APPS_MAX = 100,
	CONFIG_ENDPOINTS_MAX = 20, /* of one app */
	CONFIG_FILE_MAX = 1024 * 1024
};

/** apps[] of the file: recording for rooms, callbacks for notify. */
struct config_app {
	struct app_config app;		   /* name is owned by the config */
	char *secret_key;		   /* or NULL */
	struct notify_endpoint *endpoints; /* n_endpoints; strings owned */
	size_t n_endpoints;
};

struct config {
	char *data_dir;
	enum log_level log_level;
	struct addr listen[CONFIG_LISTEN_MAX];
	size_t n_listen;
	char *admin_token; /* NULL: only loopback may ask */
	struct media_config media;
	char *storage_dir; /* storage.local.dir */
	int64_t left_after_us;
	struct config_app *apps;
	size_t n_apps;
	/* where the secrets came from, for whoever looks after them */
	char **secret_files; /* paths; n_secret_files, owned */
	size_t n_secret_files;
	size_t n_secret_literals; /* that stand in the file itself */
};

/**
 * Read and check a file.
 * Returns 0, or EINVAL, ENOENT, EACCES, EFBIG, ENOMEM with `e`: one line
 * beginning with `path:line:column:`.
 */
MUST_CHECK int config_load(const char *path, struct config **out,
			   struct err *e);

/** The same from text (tests, demo); `name` stands for the path. */
MUST_CHECK int config_parse(const char *name, const void *text, size_t len,
			    struct config **out, struct err *e);

/** Wipes secrets.  NULL is fine. */
void config_free(struct config *c);

/** Write the sample file with every setting, its default and its text, from
 *  the table (etc/tapeop.yaml is this). */
void config_write_sample(struct buf *out);

/** Write the same table for readers (docs/settings.md is this). */
void config_write_markdown(struct buf *out);

#endif
