/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-actor.h"
#include "kcp-launcher.h"

G_BEGIN_DECLS

#define KCP_TYPE_POOL (kcp_pool_get_type ())

/**
 * KcpPool:
 *
 * Several children of one launcher, asked as if they were one: a #KcpCallable, and a #GListModel
 * of the #KcpActor objects that live.
 *
 * A call goes to the child that has the fewest calls in flight, or with a key always to the same
 * one. Children that die or hang are replaced; more are started when all are busy, and stopped
 * when they are not needed. Each call is answered exactly once. When a child dies the calls it
 * was given fail with its crash, but those marked with kcp_message_set_idempotent() are made once
 * more in another child, and those it was never sent go elsewhere in any case.
 *
 * The pool belongs to the main context that was the thread's default when it was made: use it
 * from the thread that runs that context. Dropping the last reference stops all children in the
 * background; calls that are under way and streams that are not done hold one.
 */
KCP_AVAILABLE_IN_ALL
G_DECLARE_FINAL_TYPE (KcpPool, kcp_pool, KCP, POOL, GObject)

/**
 * KcpPoolState:
 * @KCP_POOL_NEW: not started yet
 * @KCP_POOL_STARTING: being started, no child has been ready yet
 * @KCP_POOL_RUNNING: takes calls
 * @KCP_POOL_DEGRADED: takes calls, but too many children have died: no new ones are started
 * @KCP_POOL_FAILED: none is left, or none could be started
 * @KCP_POOL_STOPPING: being stopped
 * @KCP_POOL_STOPPED: all children are gone
 *
 * How a pool is. kcp_pool_start_async() starts one that is new, degraded, failed or stopped.
 */
typedef enum
{
  KCP_POOL_NEW,
  KCP_POOL_STARTING,
  KCP_POOL_RUNNING,
  KCP_POOL_DEGRADED,
  KCP_POOL_FAILED,
  KCP_POOL_STOPPING,
  KCP_POOL_STOPPED,
} KcpPoolState;

KCP_AVAILABLE_IN_ALL
KcpPool       *kcp_pool_new                    (KcpLauncher          *launcher) G_GNUC_WARN_UNUSED_RESULT;

/* ---- settings ---- */

KCP_AVAILABLE_IN_ALL
void           kcp_pool_set_size               (KcpPool              *self,
                                                guint                 min,
                                                guint                 max);
KCP_AVAILABLE_IN_ALL
void           kcp_pool_set_busy_mark          (KcpPool              *self,
                                                guint                 calls);
KCP_AVAILABLE_IN_ALL
void           kcp_pool_set_idle_timeout       (KcpPool              *self,
                                                int                   milliseconds);
KCP_AVAILABLE_IN_ALL
void           kcp_pool_set_drain_timeout      (KcpPool              *self,
                                                int                   milliseconds);
KCP_AVAILABLE_IN_ALL
void           kcp_pool_set_recycle            (KcpPool              *self,
                                                guint64               calls,
                                                gsize                 resident_bytes);
KCP_AVAILABLE_IN_ALL
void           kcp_pool_set_queue              (KcpPool              *self,
                                                guint                 calls,
                                                gsize                 bytes);
KCP_AVAILABLE_IN_ALL
void           kcp_pool_set_backoff            (KcpPool              *self,
                                                int                   first_ms,
                                                int                   longest_ms);
KCP_AVAILABLE_IN_ALL
void           kcp_pool_set_crash_limit        (KcpPool              *self,
                                                guint                 crashes,
                                                int                   window_ms);
KCP_AVAILABLE_IN_ALL
void           kcp_pool_set_kill_unresponsive  (KcpPool              *self,
                                                gboolean              kill);
KCP_AVAILABLE_IN_ALL
gboolean       kcp_pool_get_kill_unresponsive  (KcpPool              *self);

/* ---- life ---- */

KCP_AVAILABLE_IN_ALL
void           kcp_pool_start_async            (KcpPool              *self,
                                                GCancellable         *cancellable,
                                                GAsyncReadyCallback   callback,
                                                gpointer              user_data);
KCP_AVAILABLE_IN_ALL
gboolean       kcp_pool_start_finish           (KcpPool              *self,
                                                GAsyncResult         *result,
                                                GError              **error);
KCP_AVAILABLE_IN_ALL
void           kcp_pool_stop_async             (KcpPool              *self,
                                                GCancellable         *cancellable,
                                                GAsyncReadyCallback   callback,
                                                gpointer              user_data);
KCP_AVAILABLE_IN_ALL
gboolean       kcp_pool_stop_finish            (KcpPool              *self,
                                                GAsyncResult         *result,
                                                GError              **error);
KCP_AVAILABLE_IN_ALL
void           kcp_pool_replace_async          (KcpPool              *self,
                                                KcpLauncher          *next,
                                                GCancellable         *cancellable,
                                                GAsyncReadyCallback   callback,
                                                gpointer              user_data);
KCP_AVAILABLE_IN_ALL
gboolean       kcp_pool_replace_finish         (KcpPool              *self,
                                                GAsyncResult         *result,
                                                GError              **error);

/* ---- calls ---- */

KCP_AVAILABLE_IN_ALL
void           kcp_pool_ask_async              (KcpPool              *self,
                                                KcpMessage           *message,
                                                GCancellable         *cancellable,
                                                GAsyncReadyCallback   callback,
                                                gpointer              user_data);
KCP_AVAILABLE_IN_ALL
void           kcp_pool_ask_with_key_async     (KcpPool              *self,
                                                const char           *key,
                                                KcpMessage           *message,
                                                GCancellable         *cancellable,
                                                GAsyncReadyCallback   callback,
                                                gpointer              user_data);
KCP_AVAILABLE_IN_ALL
KcpMessage    *kcp_pool_ask_finish             (KcpPool              *self,
                                                GAsyncResult         *result,
                                                GError              **error) G_GNUC_WARN_UNUSED_RESULT;
KCP_AVAILABLE_IN_ALL
KcpMessage    *kcp_pool_ask                    (KcpPool              *self,
                                                KcpMessage           *message,
                                                GCancellable         *cancellable,
                                                GError              **error) G_GNUC_WARN_UNUSED_RESULT;
KCP_AVAILABLE_IN_ALL
gboolean       kcp_pool_tell                   (KcpPool              *self,
                                                KcpMessage           *message,
                                                GError              **error);
KCP_AVAILABLE_IN_ALL
gboolean       kcp_pool_tell_with_key          (KcpPool              *self,
                                                const char           *key,
                                                KcpMessage           *message,
                                                GError              **error);
KCP_AVAILABLE_IN_ALL
KcpStream     *kcp_pool_ask_stream             (KcpPool              *self,
                                                KcpMessage           *message,
                                                GCancellable         *cancellable) G_GNUC_WARN_UNUSED_RESULT;
KCP_AVAILABLE_IN_ALL
KcpStream     *kcp_pool_ask_stream_with_key    (KcpPool              *self,
                                                const char           *key,
                                                KcpMessage           *message,
                                                GCancellable         *cancellable) G_GNUC_WARN_UNUSED_RESULT;

/* ---- properties ---- */

KCP_AVAILABLE_IN_ALL
KcpPoolState   kcp_pool_get_state              (KcpPool              *self);
KCP_AVAILABLE_IN_ALL
guint          kcp_pool_get_size               (KcpPool              *self);
KCP_AVAILABLE_IN_ALL
guint          kcp_pool_get_ready              (KcpPool              *self);
KCP_AVAILABLE_IN_ALL
guint          kcp_pool_get_in_flight          (KcpPool              *self);
KCP_AVAILABLE_IN_ALL
guint          kcp_pool_get_waiting            (KcpPool              *self);
KCP_AVAILABLE_IN_ALL
guint          kcp_pool_get_restarts           (KcpPool              *self);
KCP_AVAILABLE_IN_ALL
KcpExitReport *kcp_pool_get_last_report        (KcpPool              *self);

G_END_DECLS
