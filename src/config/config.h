/**
 * config/config.h -- every setting in one table (settings.def; receive.def for
 * `tapeop receive`); a YAML file -> each part's own config struct.
 *
 * The file is read as libyaml events against its table: unknown keys,
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

#include <jansson.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "notify/notify.h"
#include "receive/receive.h"
#include "rooms/rooms.h"

enum {
	CONFIG_LISTEN_MAX = 4,
	CONFIG_TOKEN_MIN = 16, /* bytes; fewer may be guessed */
	CONFIG_APPS_MAX = ROOMS_APPS_MAX,
	CONFIG_ENDPOINTS_MAX = 20, /* of one app */
	CONFIG_API_KEYS_MAX = 10,  /* of one app */
	CONFIG_FILE_MAX = 1024 * 1024
};

/** apps[].api_keys[]: who may call the Cloud API. */
struct config_api_key {
	char *secret_id; /* unique in the file */
	char *secret_key;
	char *previous_secret_key; /* taken as well, or NULL */
	uint32_t actions;	   /* a bit for each enum cloud_action */
};

/** apps[] of the file: recording for rooms, callbacks for notify. */
struct config_app {
	struct app_config app;		   /* name is owned by the config */
	char *secret_key;		   /* or NULL */
	char *previous_secret_key;	   /* or NULL */
	struct notify_endpoint *endpoints; /* n_endpoints; strings owned */
	size_t n_endpoints;
	struct config_api_key *api_keys; /* n_api_keys */
	size_t n_api_keys;
	char *shown;  /* its settings as JSON, without secrets; endpoints are
			 not in it */
	bool is_kept; /* made at run time: its settings are in the store */
};

struct config {
	char *file; /* that it was read from, as it was named */
	char *data_dir;
	enum log_level log_level;
	char *callbacks_origin; /* NULL: the host name */
	struct addr listen[CONFIG_LISTEN_MAX];
	size_t n_listen;
	char *admin_token;	    /* NULL: only loopback may ask */
	char *previous_admin_token; /* taken as well, or NULL */
	struct http_tls_config tls; /* texts owned */
	char *allowed_origins;	    /* with a space between two; NULL: none */
	struct media_config media;
	enum upload_kind storage_kind;
	char *storage_dir;    /* storage.local.dir */
	struct upload_s3 s3;  /* texts owned; endpoint "": not set */
	bool private_storage; /* storage.allow_private */
	int64_t left_after_us;
	struct config_app *apps;
	size_t n_apps;
	/* where the secrets came from, for whoever looks after them */
	char **secret_files; /* paths; n_secret_files, owned */
	size_t n_secret_files;
	size_t n_secret_literals; /* that stand in the file itself */
	char **fixed; /* private: by setting, what only a start can change */
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

/**
 * Read and check an endpoint that stands in no file.
 *
 * c        the configuration: its apps and their keys
 * object   settings by their names in callbacks[], without nulls; a secret is
 *          the secret itself
 * out      one app with this one endpoint; config_free() it
 *
 * Returns 0, or EINVAL (e->field: the setting), ENOENT (no such app), ENOMEM
 * with `e`.
 */
MUST_CHECK int config_read_endpoint(const struct config *c, uint32_t app,
				    const json_t *object, struct config **out,
				    struct err *e);

/**
 * Read and check an app that stands in no file.
 *
 * object   settings by their names in apps[], without nulls; a secret is the
 *          secret itself
 * out      only this app; config_free() it
 *
 * Returns 0, or EINVAL (e->field: the way to the setting), ENOMEM with `e`.
 */
MUST_CHECK int config_read_app(const json_t *object, struct config **out,
			       struct err *e);

/** NULL: there is none. */
const struct config_app *config_find_app(const struct config *c, uint32_t id);

/** Move what config_read_app has read into `c`, as kept; in the place of one
 *  of its id, which `one` has then.  Returns 0, or ENOSPC, ENOMEM with `e`;
 *  then nothing has changed. */
MUST_CHECK int config_put_app(struct config *c, struct config *one,
			      struct err *e);

/** Take an app out; none is fine. */
void config_drop_app(struct config *c, uint32_t id);

/** Wipes secrets.  NULL is fine. */
void config_free(struct config *c);

/* ---- reading it again --------------------------------------------------- */

enum config_what {
	CONFIG_LOG_LEVEL,
	CONFIG_ENDPOINT_NEW,
	CONFIG_ENDPOINT_CHANGED,
	CONFIG_BUCKET_KEYS, /* of storage.s3 */
	CONFIG_ADMIN_TOKEN, /* or the one before it */
	CONFIG_APP_NEW,
	CONFIG_APP_CHANGED,   /* name, keys of all kinds, recording */
	CONFIG_ENDPOINT_GONE, /* app, endpoint: the old ones */
	CONFIG_WHAT_N
};

struct config_change {
	enum config_what what;
	const struct config_app *app;		/* NULL: not of an app */
	const struct notify_endpoint *endpoint; /* NULL: not of one */
};

/**
 * Call `fn` for each change from `old` to `next` that a running server can
 * make, in the order of config_what, so that what cannot be taken back comes
 * last.  Stops on non-zero, and returns that.
 *
 * An app that is not in `next` is no change, nor are its endpoints: it stays
 * as it is until the next start.
 */
int config_each_change(const struct config *old, const struct config *next,
		       int (*fn)(const struct config_change *c, void *arg),
		       void *arg);

/** NULL: none. */
const struct notify_endpoint *config_find_endpoint(const struct config *c,
						   uint32_t app,
						   const char *name);

/** Write what differs and only a start can change: "media.rtp_ports,
 *  data_dir, app 7 (gone)"; nothing when there is no such thing. */
void config_write_later(const struct config *running, const struct config *next,
			struct buf *out);

/** May `next` be made true?  Apps that are gone count until the next start.
 *  Returns 0, or ENOSPC, ENOMEM with `e`.  It may make room in `next`. */
MUST_CHECK int config_reserve(const struct config *running, struct config *next,
			      struct err *e);

/** What `next` says is true now, except for what only a start can change:
 *  `running` has it, and `next` what was true before.  After
 *  config_reserve. */
void config_take(struct config *running, struct config *next);

/** Write the sample file with every setting, its default and its text, from
 *  the table (etc/tapeop.yaml is this). */
void config_write_sample(struct buf *out);

/** Write the same table for readers (docs/settings.md is this). */
void config_write_markdown(struct buf *out);

/* ---- the file of `tapeop receive` ----------------------------------------- */

struct config_receive {
	char *data_dir;
	enum log_level log_level;
	struct addr listen;
	struct http_tls_config tls; /* texts owned */
	unsigned max_per_address;   /* 0: the usual */
	struct receive_app *apps;   /* n_apps; texts owned */
	size_t n_apps;
};

/** As config_load. */
MUST_CHECK int config_receive_load(const char *path,
				   struct config_receive **out, struct err *e);
/** As config_parse. */
MUST_CHECK int config_receive_parse(const char *name, const void *text,
				    size_t len, struct config_receive **out,
				    struct err *e);
/** Wipes secrets.  NULL is fine. */
void config_receive_free(struct config_receive *c);

/** Write what `next` changes at once: "log_level, app 7 changed, app 9 new";
 *  nothing when there is no such thing. */
void config_receive_write_changes(const struct config_receive *running,
				  const struct config_receive *next,
				  struct buf *out);
/** Write what differs and only a start can change: "listen, data_dir,
 *  tls". */
void config_receive_write_later(const struct config_receive *running,
				const struct config_receive *next,
				struct buf *out);
/** As config_take. */
void config_receive_take(struct config_receive *running,
			 struct config_receive *next);

/** etc/receive.yaml and docs/receive-settings.md. */
void config_receive_write_sample(struct buf *out);
void config_receive_write_markdown(struct buf *out);

#endif
