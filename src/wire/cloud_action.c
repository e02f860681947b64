/** wire/cloud_action.c -- which actions there are, and in which version. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "wire/cloud.h"
#include "wire/quote.h"

enum product { GME, TRTC, PRODUCT_N };

static const struct {
	const char *name;
	const char *version;
} products[PRODUCT_N] = {
	[GME] = {"gme", "2018-07-11"},
	[TRTC] = {"trtc", "2019-07-22"},
};

static const struct {
	const char *name;
	enum product product;
} actions[CLOUD_ACTION_N] = {
	[CLOUD_START_RECORD] = {"StartRecord", GME},
	[CLOUD_STOP_RECORD] = {"StopRecord", GME},
	[CLOUD_MODIFY_RECORD_INFO] = {"ModifyRecordInfo", GME},
	[CLOUD_DESCRIBE_RECORD_INFO] = {"DescribeRecordInfo", GME},
	[CLOUD_DESCRIBE_TASK_INFO] = {"DescribeTaskInfo", GME},
	[CLOUD_DESCRIBE_ROOM_INFO] = {"DescribeRoomInfo", GME},
	[CLOUD_CREATE_RECORDING] = {"CreateCloudRecording", TRTC},
	[CLOUD_DESCRIBE_RECORDING] = {"DescribeCloudRecording", TRTC},
	[CLOUD_MODIFY_RECORDING] = {"ModifyCloudRecording", TRTC},
	[CLOUD_DELETE_RECORDING] = {"DeleteCloudRecording", TRTC},
};

bool cloud_refuse(struct cloud_error *e, const char *code, const char *fmt, ...)
{
	char text[CLOUD_TEXT_MAX];
	va_list ap;

	str_copy(e->code, sizeof(e->code), code);
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* it may quote what was sent, and cut it anywhere */
	quote_line(e->text, sizeof(e->text), text);
	return false;
}

const char *cloud_action_name(enum cloud_action a)
{
	assert(a < CLOUD_ACTION_N);
	return actions[a].name;
}

bool cloud_action_parse(const char *name, enum cloud_action *a)
{
	for (unsigned i = 0; i < CLOUD_ACTION_N; i++) {
		if (strcmp(actions[i].name, name) != 0)
			continue;
		*a = (enum cloud_action)i;
		return true;
	}
	return false;
}

bool cloud_action_is_trtc(enum cloud_action a)
{
	assert(a < CLOUD_ACTION_N);
	return actions[a].product == TRTC;
}

static bool no_such_version(const char *version, struct cloud_error *e)
{
	return cloud_refuse(e, "NoSuchVersion",
			    "Version (X-TC-Version) %.40s: there are %s (%s) "
			    "and %s (%s).",
			    version, products[GME].version, products[GME].name,
			    products[TRTC].version, products[TRTC].name);
}

static bool no_such_action(enum product product, const char *action,
			   struct cloud_error *e)
{
	char names[300];
	size_t len = 0;

	for (unsigned i = 0; i < CLOUD_ACTION_N; i++) {
		if (actions[i].product == product)
			len += (size_t)snprintf(
				names + len, sizeof(names) - len, "%s%s",
				len ? ", " : "", actions[i].name);
		assert(len < sizeof(names));
	}
	return cloud_refuse(e, "InvalidAction",
			    "Action (X-TC-Action) %.60s: version %s (%s) has "
			    "%s.",
			    action, products[product].version,
			    products[product].name, names);
}

bool cloud_find(const char *version, const char *action, enum cloud_action *a,
		struct cloud_error *e)
{
	enum product product = GME;
	enum cloud_action found;

	if (!action || !*action)
		return cloud_refuse(e, "MissingParameter",
				    "Action (X-TC-Action) is missing.");
	if (!version || !*version)
		return cloud_refuse(e, "MissingParameter",
				    "Version (X-TC-Version) is missing.");
	while (product < PRODUCT_N &&
	       strcmp(products[product].version, version) != 0)
		product++;
	if (product == PRODUCT_N)
		return no_such_version(version, e);
	if (!cloud_action_parse(action, &found) ||
	    actions[found].product != product)
		return no_such_action(product, action, e);
	*a = found;
	return true;
}
