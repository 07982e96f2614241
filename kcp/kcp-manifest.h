/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-types.h"

G_BEGIN_DECLS

#define KCP_TYPE_MANIFEST (kcp_manifest_get_type ())

KCP_AVAILABLE_IN_ALL
GType        kcp_manifest_get_type                (void);
KCP_AVAILABLE_IN_ALL
KcpManifest *kcp_manifest_ref                     (KcpManifest *self);
KCP_AVAILABLE_IN_ALL
void         kcp_manifest_unref                   (KcpManifest *self);

KCP_AVAILABLE_IN_ALL
const char  *kcp_manifest_get_name                (KcpManifest *self);
KCP_AVAILABLE_IN_ALL
const char  *kcp_manifest_get_version             (KcpManifest *self);
KCP_AVAILABLE_IN_ALL
const char  *kcp_manifest_get_description         (KcpManifest *self);
KCP_AVAILABLE_IN_ALL
const char  *kcp_manifest_get_config_help         (KcpManifest *self);
KCP_AVAILABLE_IN_ALL
const char *const *kcp_manifest_get_paths         (KcpManifest *self);
KCP_AVAILABLE_IN_ALL
const char  *kcp_manifest_get_path_description    (KcpManifest *self,
                                                   const char  *path);
KCP_AVAILABLE_IN_ALL
gboolean     kcp_manifest_serves_any_path         (KcpManifest *self);
KCP_AVAILABLE_IN_ALL
JsonNode    *kcp_manifest_to_json                 (KcpManifest *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (KcpManifest, kcp_manifest_unref)

G_END_DECLS
