/**
 * control/cloud_storage.c -- whether a task's StorageParams can be granted.
 *
 * Files of all tasks go where storage: in the configuration says.  So what a
 * caller names must be that: Bucket "local" is where the server stores them.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "control/cloud.h"

bool cloud_storage_is_ours(const struct cloud_request *q, struct cloud_error *e)
{
	const struct cloud_storage *s = &q->storage;

	if (s->prefix.n)
		return cloud_refuse(e, "UnsupportedOperation",
				    "StorageParams.CloudStorage."
				    "FileNamePrefix: file names begin with app "
				    "and room; leave it out.");
	if (strcmp(s->bucket, "local") != 0 ||
	    (s->endpoint_url && *s->endpoint_url))
		return cloud_refuse(e, "UnsupportedOperation",
				    "StorageParams.CloudStorage: this server "
				    "stores all files where its configuration "
				    "says; say Bucket \"local\" and no "
				    "EndpointUrl.");
	return true;
}
