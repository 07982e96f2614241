/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-callable.h"
#include "kcp-exit-report.h"
#include "kcp-manifest.h"
#include "kcp-stream.h"
#include "kcp-types.h"

G_BEGIN_DECLS

#define KCP_TYPE_ACTOR (kcp_actor_get_type ())

/**
 * KcpActor:
 *
 * One child process with its plugin, as an object of the host. It belongs to the main context
 * that was the thread's default when it was spawned: use it from the thread that runs that
 * context. Dropping the last reference stops the child in the background.
 */
KCP_AVAILABLE_IN_ALL
G_DECLARE_FINAL_TYPE (KcpActor, kcp_actor, KCP, ACTOR, GObject)

KCP_AVAILABLE_IN_ALL
void           kcp_actor_ask_async       (KcpActor             *self,
                                          KcpMessage           *message,
                                          GCancellable         *cancellable,
                                          GAsyncReadyCallback   callback,
                                          gpointer              user_data);
KCP_AVAILABLE_IN_ALL
KcpMessage    *kcp_actor_ask_finish      (KcpActor             *self,
                                          GAsyncResult         *result,
                                          GError              **error) G_GNUC_WARN_UNUSED_RESULT;
KCP_AVAILABLE_IN_ALL
KcpMessage    *kcp_actor_ask             (KcpActor             *self,
                                          KcpMessage           *message,
                                          GCancellable         *cancellable,
                                          GError              **error) G_GNUC_WARN_UNUSED_RESULT;
KCP_AVAILABLE_IN_ALL
gboolean       kcp_actor_tell            (KcpActor             *self,
                                          KcpMessage           *message,
                                          GError              **error);
KCP_AVAILABLE_IN_ALL
KcpStream     *kcp_actor_ask_stream      (KcpActor             *self,
                                          KcpMessage           *message,
                                          GCancellable         *cancellable) G_GNUC_WARN_UNUSED_RESULT;

KCP_AVAILABLE_IN_ALL
void           kcp_actor_stop_async      (KcpActor             *self,
                                          GCancellable         *cancellable,
                                          GAsyncReadyCallback   callback,
                                          gpointer              user_data);
KCP_AVAILABLE_IN_ALL
KcpExitReport *kcp_actor_stop_finish     (KcpActor             *self,
                                          GAsyncResult         *result,
                                          GError              **error) G_GNUC_WARN_UNUSED_RESULT;
KCP_AVAILABLE_IN_ALL
void           kcp_actor_kill            (KcpActor             *self);

KCP_AVAILABLE_IN_ALL
KcpActorState  kcp_actor_get_state       (KcpActor             *self);
KCP_AVAILABLE_IN_ALL
int            kcp_actor_get_pid         (KcpActor             *self);
KCP_AVAILABLE_IN_ALL
const char    *kcp_actor_get_name        (KcpActor             *self);
KCP_AVAILABLE_IN_ALL
KcpManifest   *kcp_actor_get_manifest    (KcpActor             *self);
KCP_AVAILABLE_IN_ALL
guint          kcp_actor_get_in_flight   (KcpActor             *self);
KCP_AVAILABLE_IN_ALL
gboolean       kcp_actor_get_responsive  (KcpActor             *self);
KCP_AVAILABLE_IN_ALL
KcpExitReport *kcp_actor_get_exit_report (KcpActor             *self);

G_END_DECLS
