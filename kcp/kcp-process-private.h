/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-exit-report.h"
#include "kcp-launch-plan-private.h"
#include "kcp-link-private.h"
#include "kcp-manifest.h"

G_BEGIN_DECLS

/* One child from its spawn until it is reaped, whoever still looks at it. The public actor is a
 * handle on this: it keeps itself alive, so that a child can never be left running or a zombie
 * because an object was dropped.
 *
 *     STARTING ──ready──► READY ──stop──► STOPPING ──reaped──► EXITED
 *         └─────── fails, dies, is killed: from each state ─────────▲
 *
 * Belongs to the thread that runs its context; ref and unref, the getters and kcp_process_request_…
 * may be called from any. */
typedef struct _KcpProcess KcpProcess;

/* Tells the actor, while there is one. */
typedef struct
{
  void (*state)      (GObject *observed);
  void (*responsive) (GObject *observed);
  void (*log)        (GObject *observed, const char *domain, GLogLevelFlags level, const char *message);
  void (*exited)     (GObject *observed);
} KcpProcessObserver;

typedef void (*KcpProcessStarted) (KcpProcess   *process,
                                   const GError *error,
                                   gpointer      data);
typedef void (*KcpProcessPhase)   (KcpProcess   *process,
                                   KcpPhase      phase,
                                   gpointer      data);

/* Takes @plan. @started is called once, from @context and never from inside; @phase as often as
 * the start gets on. */
void           kcp_process_start        (KcpLaunchPlan             *plan,
                                         GMainContext              *context,
                                         GCancellable              *cancellable,
                                         KcpProcessPhase            phase,
                                         KcpProcessStarted          started,
                                         gpointer                   data);

KcpProcess    *kcp_process_ref          (KcpProcess                *self);
void           kcp_process_unref        (KcpProcess                *self);
void           kcp_process_observe      (KcpProcess                *self,
                                         const KcpProcessObserver  *observer,
                                         GObject                   *observed);

KcpLink       *kcp_process_get_link     (KcpProcess                *self);
KcpActorState  kcp_process_get_state    (KcpProcess                *self);
int            kcp_process_get_pid      (KcpProcess                *self);
const char    *kcp_process_get_name     (KcpProcess                *self);
KcpManifest   *kcp_process_get_manifest (KcpProcess                *self);
gboolean       kcp_process_get_responsive (KcpProcess              *self);
KcpExitReport *kcp_process_get_report   (KcpProcess                *self);

/* The ladder: goodbye and drain, close and SIGTERM, SIGKILL. */
void           kcp_process_stop         (KcpProcess                *self);
/* Straight to its last step. */
void           kcp_process_kill         (KcpProcess                *self);

/* Completes @task with a report when the child is reaped, or with an error when even the last
 * step of the ladder has not ended it in its time. Takes @task. */
void           kcp_process_await_exit   (KcpProcess                *self,
                                         GTask                     *task);

/* The three for a child that has been ready, from any thread: at once if that can be, and else
 * when its context is run, or by who blocks for a call. No user code runs inside of them. */
void           kcp_process_request_stop (KcpProcess                *self);
void           kcp_process_request_kill (KcpProcess                *self);
void           kcp_process_request_exit (KcpProcess                *self,
                                         GTask                     *task);

G_END_DECLS
