/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-callback-handler.h"
#include "kcp-types.h"

G_BEGIN_DECLS

#define KCP_TYPE_LAUNCHER (kcp_launcher_get_type ())

/**
 * KcpLauncher:
 *
 * Everything that is decided before a child is started. The setters check nothing and return
 * nothing; what cannot be used is an error of the spawn. A launcher may spawn any number of
 * children and may be changed in between.
 */
KCP_AVAILABLE_IN_ALL
G_DECLARE_FINAL_TYPE (KcpLauncher, kcp_launcher, KCP, LAUNCHER, GObject)

KCP_AVAILABLE_IN_ALL
KcpLauncher *kcp_launcher_new                  (const char           *plugin) G_GNUC_WARN_UNUSED_RESULT;

KCP_AVAILABLE_IN_ALL
void         kcp_launcher_set_name             (KcpLauncher          *self,
                                                const char           *name);
KCP_AVAILABLE_IN_ALL
void         kcp_launcher_set_log_level        (KcpLauncher          *self,
                                                GLogLevelFlags        level);
KCP_AVAILABLE_IN_ALL
void         kcp_launcher_add_config           (KcpLauncher          *self,
                                                const char           *key,
                                                const char           *value);
KCP_AVAILABLE_IN_ALL
void         kcp_launcher_setenv               (KcpLauncher          *self,
                                                const char           *variable,
                                                const char           *value);
KCP_AVAILABLE_IN_ALL
void         kcp_launcher_unsetenv             (KcpLauncher          *self,
                                                const char           *variable);
KCP_AVAILABLE_IN_ALL
void         kcp_launcher_set_inherit_environ  (KcpLauncher          *self,
                                                gboolean              inherit_all);
KCP_AVAILABLE_IN_ALL
void         kcp_launcher_set_working_directory (KcpLauncher         *self,
                                                const char           *directory);
KCP_AVAILABLE_IN_ALL
void         kcp_launcher_set_stub             (KcpLauncher          *self,
                                                const char           *path);
KCP_AVAILABLE_IN_ALL
void         kcp_launcher_set_wrapper          (KcpLauncher          *self,
                                                const char *const    *argv);
KCP_AVAILABLE_IN_ALL
void         kcp_launcher_set_core_dumps       (KcpLauncher          *self,
                                                gboolean              allowed);
KCP_AVAILABLE_IN_ALL
void         kcp_launcher_set_resource_limit   (KcpLauncher          *self,
                                                KcpResource           resource,
                                                guint64               limit);
KCP_AVAILABLE_IN_ALL
void         kcp_launcher_unset_resource_limit (KcpLauncher          *self,
                                                KcpResource           resource);
KCP_AVAILABLE_IN_ALL
void         kcp_launcher_set_nice             (KcpLauncher          *self,
                                                int                   nice);
KCP_AVAILABLE_IN_ALL
void         kcp_launcher_set_oom_score_adjustment (KcpLauncher      *self,
                                                int                   adjustment);
KCP_AVAILABLE_IN_ALL
void         kcp_launcher_set_describe_only    (KcpLauncher          *self,
                                                gboolean              describe_only);
KCP_AVAILABLE_IN_ALL
void         kcp_launcher_set_callback_handler (KcpLauncher          *self,
                                                KcpCallbackHandler   *handler);
KCP_AVAILABLE_IN_ALL
void         kcp_launcher_set_frame_limit      (KcpLauncher          *self,
                                                gsize                 bytes);
KCP_AVAILABLE_IN_ALL
void         kcp_launcher_set_stream_window    (KcpLauncher          *self,
                                                guint                 items,
                                                gsize                 bytes);
KCP_AVAILABLE_IN_ALL
void         kcp_launcher_set_max_in_flight    (KcpLauncher          *self,
                                                guint                 calls);
KCP_AVAILABLE_IN_ALL
void         kcp_launcher_set_mailbox          (KcpLauncher          *self,
                                                guint                 calls,
                                                gsize                 bytes);
KCP_AVAILABLE_IN_ALL
void         kcp_launcher_set_start_timeout    (KcpLauncher          *self,
                                                int                   milliseconds);
KCP_AVAILABLE_IN_ALL
void         kcp_launcher_set_call_timeout     (KcpLauncher          *self,
                                                int                   milliseconds);
KCP_AVAILABLE_IN_ALL
void         kcp_launcher_set_stop_timeouts    (KcpLauncher          *self,
                                                int                   drain_ms,
                                                int                   term_ms,
                                                int                   kill_ms);

KCP_AVAILABLE_IN_ALL
void         kcp_launcher_spawn_async          (KcpLauncher          *self,
                                                GCancellable         *cancellable,
                                                GAsyncReadyCallback   callback,
                                                gpointer              user_data);
KCP_AVAILABLE_IN_ALL
KcpActor    *kcp_launcher_spawn_finish         (KcpLauncher          *self,
                                                GAsyncResult         *result,
                                                GError              **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
