/**
 * control/cloud_storage.c -- a task's StorageParams as a bucket.
 *
 * Vendors 0 (Tencent COS) and 1 (AWS) are known by their regions; of all others
 * the EndpointUrl says where their S3 API is.  Bucket "local" without one is
 * the server's own storage, for who has no bucket.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "control/cloud.h"

enum { VENDOR_COS = 0, VENDOR_AWS = 1 };

/** The parameter that a setting of upload_s3_check is. */
static const char *parameter_of(const char *setting)
{
	static const char *const names[][2] = {
		{"endpoint", "EndpointUrl"}, {"region", "Region"},
		{"bucket", "Bucket"},	     {"prefix", "FileNamePrefix"},
		{"access_key", "AccessKey"}, {"secret_key", "SecretKey"},
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (!strcmp(names[i][0], setting))
			return names[i][1];
	}
	return "EndpointUrl";
}

static bool is_ours(const struct cloud_storage *s)
{
	return !strcmp(s->bucket, "local") &&
	       !(s->endpoint_url && *s->endpoint_url);
}

/** Source: "Amazon S3 endpoints and quotas", AWS general reference. */
static void write_aws(const struct cloud_storage *s, struct cloud_place *p)
{
	snprintf(p->endpoint, sizeof(p->endpoint),
		 "https://s3.%s.amazonaws.com%s", s->region,
		 strncmp(s->region, "cn-", 3) ? "" : ".cn");
	/* Its certificates are for one name below that. */
	p->s3.path_style = strchr(s->bucket, '.') != NULL;
}

static bool find_endpoint(const struct cloud_storage *s, struct cloud_place *p,
			  struct cloud_error *e)
{
	p->s3.path_style = true;
	if (!*s->region && !(s->endpoint_url && *s->endpoint_url))
		return cloud_refuse(e, "InvalidParameter",
				    "StorageParams.CloudStorage.Region is "
				    "required, unless there is an "
				    "EndpointUrl.");
	if (s->endpoint_url && *s->endpoint_url) {
		snprintf(p->endpoint, sizeof(p->endpoint), "%s",
			 s->endpoint_url);
	} else if (s->vendor == VENDOR_AWS) {
		write_aws(s, p);
	} else if (s->vendor == VENDOR_COS) {
		snprintf(p->endpoint, sizeof(p->endpoint),
			 "https://cos.%s.myqcloud.com", s->region);
		p->s3.path_style = false;
	} else {
		return cloud_refuse(e, "UnsupportedOperation",
				    "StorageParams.CloudStorage.Vendor: 0 "
				    "(Tencent COS) and 1 (AWS) are known; of "
				    "others, say the EndpointUrl of their S3 "
				    "API.");
	}
	return true;
}

static void write_prefix(const struct cloud_users *prefix, char *out,
			 size_t cap)
{
	size_t at = 0;

	*out = 0;
	for (size_t i = 0; i < prefix->n && at < cap; i++)
		at += (size_t)snprintf(out + at, cap - at, "%s/",
				       prefix->ids[i]);
}

/** An address can be judged at once; a name, when it is connected to. */
static bool check_address(const struct rooms *r, const char *endpoint,
			  struct cloud_error *e)
{
	const char *at = strstr(endpoint, "://");
	char text[ADDR_TEXT_MAX];
	struct addr a;

	at = at ? at + 3 : endpoint;
	snprintf(text, sizeof(text), "%.*s", (int)strcspn(at, "/"), at);
	if (addr_parse(text, &a) || rooms_permit_bucket_at(r, &a))
		return true;
	return cloud_refuse(e, "InvalidParameter",
			    "StorageParams.CloudStorage.EndpointUrl: the "
			    "address %s is not a global one (%s); the server's "
			    "setting storage.allow_private permits that.",
			    text, addr_special(&a));
}

bool cloud_storage_find(const struct rooms *r, const struct cloud_request *q,
			struct cloud_place *p, const struct upload_s3 **out,
			struct cloud_error *e)
{
	const struct cloud_storage *s = &q->storage;
	struct err why = {0};

	*out = NULL;
	*p = (struct cloud_place){.endpoint = ""};
	if (is_ours(s) && s->prefix.n)
		return cloud_refuse(e, "UnsupportedOperation",
				    "StorageParams.CloudStorage."
				    "FileNamePrefix: the server's own storage "
				    "(Bucket \"local\") has none; leave it "
				    "out.");
	if (is_ours(s))
		return true;
	if (!find_endpoint(s, p, e))
		return false;
	write_prefix(&s->prefix, p->prefix, sizeof(p->prefix));
	p->s3.endpoint = p->endpoint;
	p->s3.region = *s->region ? s->region : "us-east-1";
	p->s3.bucket = s->bucket;
	p->s3.prefix = p->prefix;
	p->s3.access_key = s->access_key;
	p->s3.secret_key = s->secret_key;
	if (strlen(p->prefix) > STORAGE_PREFIX_MAX)
		return cloud_refuse(e, "InvalidParameter",
				    "StorageParams.CloudStorage."
				    "FileNamePrefix: at most %d bytes in all, "
				    "with a / behind each.",
				    STORAGE_PREFIX_MAX);
	if (upload_s3_check(&p->s3, &why))
		return cloud_refuse(e, "InvalidParameter",
				    "StorageParams.CloudStorage.%s: %s.",
				    parameter_of(why.field), why.text);
	*out = &p->s3;
	return check_address(r, p->endpoint, e);
}
