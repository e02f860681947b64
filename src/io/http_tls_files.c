/**
 * io/http_tls_files.c -- certificate, key and trusted names from files.
 *
 * WHY     Whoever sets TLS up gets one of three files wrong; OpenSSL's own
 *         words do not say which.
 * DESIGN  TLS 1.2 and 1.3.  No renegotiation, no compression, no resumption:
 *         senders keep their connections, and each handshake then looks at
 *         the client's certificate and uses what was read last.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "io/http_server.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

/* Without it OpenSSL asks on the terminal. */
static int no_password(char *to, int cap, int writing, void *arg)
{
	(void)to;
	(void)cap;
	(void)writing;
	(void)arg;
	return -1;
}

/* Is it a file that can be read?  `st`: what it is. */
static int file_check(const char *what, const char *path, struct stat *st,
		      struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int err = 0;

	*st = (struct stat){0};
	if (fd < 0 || fstat(fd, st))
		err = errno;
	if (fd >= 0)
		close(fd);
	if (err)
		return err_set(e, err, "tls", "%s %s: %s", what, path,
			       strerror(err));
	if (!S_ISREG(st->st_mode))
		return err_set(e, EINVAL, "tls", "%s %s: not a file", what,
			       path);
	return 0;
}

/* Say what OpenSSL found wrong with it: the first error is the nearest. */
static int refuse(const char *what, const char *path, struct err *e)
{
	bool encrypted = false, weak = false, lost = false;
	const char *reason = ERR_reason_error_string(ERR_peek_error());
	unsigned long code = ERR_get_error();

	while (code) {
		int why = ERR_GET_REASON(code);

		lost |= why == ERR_R_MALLOC_FAILURE;
		encrypted |= ERR_GET_LIB(code) == ERR_LIB_PEM &&
			     why == PEM_R_BAD_PASSWORD_READ;
		weak |= ERR_GET_LIB(code) == ERR_LIB_SSL &&
			why != ERR_R_PEM_LIB;
		code = ERR_get_error();
	}
	if (lost)
		return err_set(e, ENOMEM, "tls", "out of memory");
	if (encrypted)
		return err_set(e, EINVAL, "tls",
			       "%s %s: it is encrypted; have it without a "
			       "password",
			       what, path);
	return err_set(e, EINVAL, "tls", "%s %s: %s%s%s", what, path,
		       weak ? "" : "not PEM (", reason ? reason : "?",
		       weak ? "" : ")");
}

static void write_day(const ASN1_TIME *at, char *out, size_t cap)
{
	struct tm tm = {0};

	if (!ASN1_TIME_to_tm(at, &tm) ||
	    !strftime(out, cap, "%Y-%m-%d %H:%M UTC", &tm))
		out[0] = '\0';
}

/* One that nobody will accept may still be what is there until the new one
 * comes: only a warning. */
static void warn_of_dates(const SSL_CTX *tls, const char *path)
{
	const X509 *cert = SSL_CTX_get0_certificate(tls);
	char day[32];

	if (X509_cmp_current_time(X509_get0_notAfter(cert)) < 0) {
		write_day(X509_get0_notAfter(cert), day, sizeof(day));
		log_warn("certificate %s expired: %s", path, day);
	} else if (X509_cmp_current_time(X509_get0_notBefore(cert)) > 0) {
		write_day(X509_get0_notBefore(cert), day, sizeof(day));
		log_warn("certificate %s is not valid before %s", path, day);
	}
}

static int load_pair(SSL_CTX *tls, const struct http_tls_config *c,
		     struct err *e)
{
	struct stat st;
	int err = file_check("certificate", c->cert_file, &st, e);

	if (err)
		return err;
	if (!c->key_file)
		return err_set(e, EINVAL, "tls",
			       "certificate %s: its key is missing",
			       c->cert_file);
	if (SSL_CTX_use_certificate_chain_file(tls, c->cert_file) != 1)
		return refuse("certificate", c->cert_file, e);
	err = file_check("key", c->key_file, &st, e);
	if (err)
		return err;
	if (SSL_CTX_use_PrivateKey_file(tls, c->key_file, SSL_FILETYPE_PEM) !=
		    1 &&
	    ERR_GET_LIB(ERR_peek_last_error()) != ERR_LIB_X509)
		return refuse("key", c->key_file, e);
	if (SSL_CTX_check_private_key(tls) != 1) {
		ERR_clear_error();
		return err_set(e, EINVAL, "tls",
			       "key %s: does not belong to certificate %s",
			       c->key_file, c->cert_file);
	}
	return 0;
}

static int load_client_ca(SSL_CTX *tls, const char *path, struct err *e)
{
	STACK_OF(X509_NAME) * names;
	struct stat st;
	int err = file_check("client CA", path, &st, e);

	if (err)
		return err;
	names = SSL_load_client_CA_file(path);
	if (!names)
		return refuse("client CA", path, e);
	SSL_CTX_set_client_CA_list(tls, names);
	if (SSL_CTX_load_verify_file(tls, path) != 1)
		return refuse("client CA", path, e);
	SSL_CTX_set_verify(
		tls, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	return 0;
}

static int load(const struct http_tls_config *config, SSL_CTX **out,
		struct err *e)
{
	SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
	int err;

	if (!tls || SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION) != 1) {
		err = err_set(e, ENOMEM, "tls", "out of memory");
		goto out;
	}
	SSL_CTX_set_options(
		tls, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
			     SSL_OP_NO_TICKET | SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
	(void)SSL_CTX_set_num_tickets(tls, 0);
	SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE |
				      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				      SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_default_passwd_cb(tls, no_password);
	ERR_clear_error();
	err = load_pair(tls, config, e);
	if (!err && config->client_ca_file)
		err = load_client_ca(tls, config->client_ca_file, e);
	if (!err) {
		*out = tls;
		return 0;
	}
out:
	SSL_CTX_free(tls);
	return err;
}

int http_tls_load(const struct http_tls_config *config, SSL_CTX **out,
		  struct err *e)
{
	struct stat st;
	int err = load(config, out, e);

	if (err)
		return err;
	if (!stat(config->key_file, &st) && st.st_mode & S_IROTH)
		log_warn("key %s can be read by everybody on this machine: "
			 "chmod o-r",
			 config->key_file);
	warn_of_dates(*out, config->cert_file);
	return 0;
}

static int64_t unix_of(const ASN1_TIME *at)
{
	struct tm tm = {0};

	return ASN1_TIME_to_tm(at, &tm) ? timegm(&tm) : 0;
}

int http_tls_try(const struct http_tls_config *config, int64_t *from_s,
		 int64_t *until_s, struct err *e)
{
	SSL_CTX *tls = NULL;
	const X509 *cert;
	int err = load(config, &tls, e);

	if (err)
		return err;
	cert = SSL_CTX_get0_certificate(tls);
	*from_s = unix_of(X509_get0_notBefore(cert));
	*until_s = unix_of(X509_get0_notAfter(cert));
	SSL_CTX_free(tls);
	return 0;
}
