/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-types.h"

G_BEGIN_DECLS

/* What a child may use, as the host says it in OPEN; see PROTOCOL.md, "Start". Pure: both sides
 * read and write it here, only the stub does anything with it. */

#define KCP_N_RESOURCES (KCP_RESOURCE_FILE_SIZE + 1)

typedef struct
{
  guint32 set;                        /* bit (1 << KcpResource) */
  guint64 values[KCP_N_RESOURCES];
  gboolean has_nice, has_oom_score;
  int nice, oom_score;
} KcpResourceLimits;

#define KCP_RESOURCE_IS_SET(limits, resource) (((limits)->set & (1u << (resource))) != 0)

/* FALSE with KCP_ERROR_INVALID_ARGUMENT: a number that no system would take. */
gboolean    kcp_resource_limits_check       (const KcpResourceLimits  *limits,
                                             GError                  **error);
gboolean    kcp_resource_limits_allow_cores (const KcpResourceLimits  *limits);

/* NULL: there are none. */
JsonObject *kcp_resource_limits_encode      (const KcpResourceLimits  *limits);
/* @node may be NULL: none. FALSE with KCP_ERROR_PROTOCOL. */
gboolean    kcp_resource_limits_decode      (JsonNode                 *node,
                                             KcpResourceLimits        *limits,
                                             GError                  **error);

/* For messages: “2 s of CPU time”. */
char       *kcp_resource_describe           (KcpResource               resource,
                                             guint64                   limit);

G_END_DECLS
