/** intake/webrtc.h -- WebRTC, for the files of this folder. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INTAKE_WEBRTC_H
#define INTAKE_WEBRTC_H

#include <openssl/types.h>

#include "intake/intake.h"

struct webrtc_identity {
	EVP_PKEY *key;
	X509 *cert;
	struct fingerprint fingerprint;
};

/** The digest of a certificate.  Returns 0 or ENOMEM. */
MUST_CHECK int webrtc_certificate_fingerprint(X509 *cert,
					      enum fingerprint_hash hash,
					      struct fingerprint *out);

#endif
