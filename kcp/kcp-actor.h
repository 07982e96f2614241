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
 * One child process with its plugin, as an object of the host. Dropping the last reference stops
 * the child in the background.
 *
 * An actor belongs to the main context that was the thread's default when it was spawned, and may
 * be used from any thread:
 *
 * - What is asked asynchronously completes in the thread-default context of who asks. Where that
 *   is the actor's own, straight from its dispatch. Calls, items and stops of one thread reach the
 *   child in their order.
 * - Who blocks, in kcp_actor_ask() or kcp_stream_next(), runs nothing of the program but what the
 *   answer needs. In a dispatch of the actor's context he looks after this child himself. In
 *   any other thread he sleeps while somebody runs that context; while nobody does, he takes it for
 *   as long as there is something to do, and never keeps it while he sleeps, so that whoever owns it
 *   can come back at any time. He leaves at his deadline, and when he is cancelled, even if the
 *   owner is stuck.
 * - Handlers of callbacks, and signals, run where the actor's context is run: in its thread, or,
 *   while nobody runs it, in one that blocks. There is only ever one such thread at a time. One that
 *   blocks serves the callbacks of its own call, and those of other threads that block.
 * - Everything but blocking needs somebody who runs the actor's context.
 * - A message is used by one thread at a time: it must not be sent by two at once.
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
