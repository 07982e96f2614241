/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-manifest.h"

G_BEGIN_DECLS

/* From what a child says of its plugin. NULL with KCP_ERROR_PROTOCOL. */
KcpManifest *kcp_manifest_decode (JsonObject  *object,
                                  GError     **error);

G_END_DECLS
