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
 * Belongs to the thread that runs its context. */
typedef struct _KcpProcess KcpProcess;

/* Tells the actor; all may be called only while it has set itself as the observer. */
typedef struct
{
  void (*state)      (gpointer observer);
  void (*responsive) (gpointer observer);
  void (*log)        (gpointer observer, const char *domain, GLogLevelFlags level, const char *message);
  void (*exited)     (gpointer observer);
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
                                         gpointer                   data);

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

G_END_DECLS
