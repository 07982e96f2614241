/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-types.h"

G_BEGIN_DECLS

/**
 * KCP_JSON_MAX_DEPTH:
 *
 * Objects and arrays that may be open at the same time, when reading and when writing.
 */
#define KCP_JSON_MAX_DEPTH 128

KCP_AVAILABLE_IN_ALL
JsonNode *kcp_json_parse     (const char  *text,
                              gssize       length,
                              GError     **error) G_GNUC_WARN_UNUSED_RESULT;
KCP_AVAILABLE_IN_ALL
char     *kcp_json_to_string (JsonNode    *node,
                              GError     **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
