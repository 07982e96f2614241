/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-plugin.h"
#include "kcp-router-private.h"

G_BEGIN_DECLS

/* Opens a plugin file; its libraries are bound. It stays in memory until the process ends.
 * NULL with KCP_ERROR_PLUGIN_LOAD and the linker's text unchanged. */
gpointer  kcp_plugin_open      (const char      *path,
                                GError         **error);

/* Finds the entry and checks what it gives, member by member. What the plugin is too old to know
 * is zero in @plugin. FALSE with KCP_ERROR_PLUGIN_ABI. */
gboolean  kcp_plugin_check     (gpointer         module,
                                const char      *path,
                                KcpPlugin       *plugin,
                                GError         **error);

/* Enters the plugin's table into @router; handlers get *@self. FALSE with KCP_ERROR_PLUGIN_ABI. */
gboolean  kcp_plugin_route     (const KcpPlugin *plugin,
                                const char      *path,
                                gpointer        *self,
                                KcpRouter       *router,
                                GError         **error);

/* {"name", "version", …}, as it travels in the last STATUS of a start. */
JsonNode *kcp_plugin_describe  (const KcpPlugin *plugin);

G_END_DECLS
