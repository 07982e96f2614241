/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-actor.h"
#include "kcp-callable.h"
#include "kcp-exit-report.h"
#include "kcp-launcher.h"
#include "kcp-stream.h"
#include "kcp-types.h"

G_BEGIN_DECLS

#define KCP_TYPE_SUPERVISOR (kcp_supervisor_get_type ())

/**
 * KcpRestartPolicy:
 * @KCP_RESTART_NEVER: a child that has ended is not started again
 * @KCP_RESTART_ON_FAILURE: it is after a failure: a crash, an exit code other than 0, a start that
 *   did not work, and wherever this side had to kill it (broken protocol, unresponsive)
 * @KCP_RESTART_ALWAYS: it is after every end that nobody asked for, exit code 0 included
 *
 * What a #KcpSupervisor does about a child that has ended. A child that was stopped is never
 * started again by itself.
 */
typedef enum
{
  KCP_RESTART_NEVER,
  KCP_RESTART_ON_FAILURE,
  KCP_RESTART_ALWAYS,
} KcpRestartPolicy;

/**
 * KcpSupervisorState:
 * @KCP_SUPERVISOR_STOPPED: no child, because none was started, or it was stopped, or it has ended
 *   in a way that is no failure; calls fail
 * @KCP_SUPERVISOR_STARTING: a child is being started; calls wait
 * @KCP_SUPERVISOR_RUNNING: the child is ready
 * @KCP_SUPERVISOR_WAITING: it will be started again in a while; calls wait
 * @KCP_SUPERVISOR_STOPPING: the child is being stopped; calls fail, or wait if it will be started
 *   again after that
 * @KCP_SUPERVISOR_FAILED: no child, and no hope that the next would do better; calls fail
 *
 * What a #KcpSupervisor is doing.
 */
typedef enum
{
  KCP_SUPERVISOR_STOPPED,
  KCP_SUPERVISOR_STARTING,
  KCP_SUPERVISOR_RUNNING,
  KCP_SUPERVISOR_WAITING,
  KCP_SUPERVISOR_STOPPING,
  KCP_SUPERVISOR_FAILED,
} KcpSupervisorState;

/**
 * KcpSupervisor:
 *
 * One child that is started again when it dies. It is asked like a #KcpActor, across the lives of
 * its children.
 *
 * - While a child is being started, or will be, calls wait: in their order, as many as the
 *   launcher's mailbox holds, with their deadlines running. A new child has taken its
 *   configuration and has run its `start` before the first of them is sent.
 * - Calls that the child had when it died fail with the cause, each once. Those whose message is
 *   idempotent (kcp_message_set_idempotent()) are sent once more, to the next child; so are those
 *   that had not been sent yet. A stream is never sent again, and what was told to a child that
 *   dies is lost.
 * - Between two lives it waits: 100 ms, then twice as long each time, up to 10 s; see
 *   kcp_supervisor_set_backoff(). After too many restarts it gives up and is
 *   %KCP_SUPERVISOR_FAILED; see kcp_supervisor_set_restart_limit().
 *
 * It belongs to the main context that was the thread's default when it was made: use it, and the
 * streams it gives out, from the thread that runs that context and from no other. Its #KcpActor may
 * be used from any thread while that thread is in g_main_loop_run(). Dropping the last reference
 * stops the child in the background; calls that were asked and have no answer hold one.
 */
KCP_AVAILABLE_IN_ALL
G_DECLARE_FINAL_TYPE (KcpSupervisor, kcp_supervisor, KCP, SUPERVISOR, GObject)

KCP_AVAILABLE_IN_ALL
KcpSupervisor   *kcp_supervisor_new                   (KcpLauncher          *launcher) G_GNUC_WARN_UNUSED_RESULT;

KCP_AVAILABLE_IN_ALL
void             kcp_supervisor_set_policy            (KcpSupervisor        *self,
                                                       KcpRestartPolicy      policy);
KCP_AVAILABLE_IN_ALL
void             kcp_supervisor_set_backoff           (KcpSupervisor        *self,
                                                       guint                 first_ms,
                                                       guint                 most_ms,
                                                       guint                 healthy_ms);
KCP_AVAILABLE_IN_ALL
void             kcp_supervisor_set_restart_limit     (KcpSupervisor        *self,
                                                       guint                 restarts,
                                                       guint                 window_ms);
KCP_AVAILABLE_IN_ALL
void             kcp_supervisor_set_kill_unresponsive (KcpSupervisor        *self,
                                                       gboolean              kill);

KCP_AVAILABLE_IN_ALL
void             kcp_supervisor_start_async           (KcpSupervisor        *self,
                                                       GCancellable         *cancellable,
                                                       GAsyncReadyCallback   callback,
                                                       gpointer              user_data);
KCP_AVAILABLE_IN_ALL
gboolean         kcp_supervisor_start_finish          (KcpSupervisor        *self,
                                                       GAsyncResult         *result,
                                                       GError              **error);
KCP_AVAILABLE_IN_ALL
void             kcp_supervisor_restart_async         (KcpSupervisor        *self,
                                                       GCancellable         *cancellable,
                                                       GAsyncReadyCallback   callback,
                                                       gpointer              user_data);
KCP_AVAILABLE_IN_ALL
gboolean         kcp_supervisor_restart_finish        (KcpSupervisor        *self,
                                                       GAsyncResult         *result,
                                                       GError              **error);
KCP_AVAILABLE_IN_ALL
void             kcp_supervisor_stop_async            (KcpSupervisor        *self,
                                                       GCancellable         *cancellable,
                                                       GAsyncReadyCallback   callback,
                                                       gpointer              user_data);
KCP_AVAILABLE_IN_ALL
gboolean         kcp_supervisor_stop_finish           (KcpSupervisor        *self,
                                                       GAsyncResult         *result,
                                                       GError              **error);

KCP_AVAILABLE_IN_ALL
void             kcp_supervisor_ask_async             (KcpSupervisor        *self,
                                                       KcpMessage           *message,
                                                       GCancellable         *cancellable,
                                                       GAsyncReadyCallback   callback,
                                                       gpointer              user_data);
KCP_AVAILABLE_IN_ALL
KcpMessage      *kcp_supervisor_ask_finish            (KcpSupervisor        *self,
                                                       GAsyncResult         *result,
                                                       GError              **error) G_GNUC_WARN_UNUSED_RESULT;
KCP_AVAILABLE_IN_ALL
gboolean         kcp_supervisor_tell                  (KcpSupervisor        *self,
                                                       KcpMessage           *message,
                                                       GError              **error);
KCP_AVAILABLE_IN_ALL
KcpStream       *kcp_supervisor_ask_stream            (KcpSupervisor        *self,
                                                       KcpMessage           *message,
                                                       GCancellable         *cancellable) G_GNUC_WARN_UNUSED_RESULT;

KCP_AVAILABLE_IN_ALL
KcpLauncher     *kcp_supervisor_get_launcher          (KcpSupervisor        *self);
KCP_AVAILABLE_IN_ALL
KcpSupervisorState kcp_supervisor_get_state           (KcpSupervisor        *self);
KCP_AVAILABLE_IN_ALL
KcpRestartPolicy kcp_supervisor_get_policy            (KcpSupervisor        *self);
KCP_AVAILABLE_IN_ALL
gboolean         kcp_supervisor_get_kill_unresponsive (KcpSupervisor        *self);
KCP_AVAILABLE_IN_ALL
KcpActor        *kcp_supervisor_get_actor             (KcpSupervisor        *self);
KCP_AVAILABLE_IN_ALL
guint            kcp_supervisor_get_restarts          (KcpSupervisor        *self);
KCP_AVAILABLE_IN_ALL
gint64           kcp_supervisor_get_next_restart      (KcpSupervisor        *self);
KCP_AVAILABLE_IN_ALL
guint            kcp_supervisor_get_waiting           (KcpSupervisor        *self);
KCP_AVAILABLE_IN_ALL
KcpExitReport   *kcp_supervisor_get_last_report       (KcpSupervisor        *self);
KCP_AVAILABLE_IN_ALL
const GError    *kcp_supervisor_get_last_error        (KcpSupervisor        *self);

G_END_DECLS
