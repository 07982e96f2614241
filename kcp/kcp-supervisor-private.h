/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-backlog-private.h"
#include "kcp-supervisor.h"

G_BEGIN_DECLS

/* Inside of a supervisor, shared by its parts: kcp-supervisor.c (the object),
 * kcp-supervisor-settings.c (what can be set and seen), kcp-supervisor-policy.c (the states, and what
 * becomes of a child's end), kcp-supervisor-run.c (start, stop, restart), kcp-supervisor-waiters.c,
 * kcp-supervisor-calls.c. Nobody else includes it. */

typedef enum
{
  KCP_SUPERVISOR_PROP_STATE = 1,
  KCP_SUPERVISOR_PROP_POLICY,
  KCP_SUPERVISOR_PROP_KILL_UNRESPONSIVE,
  KCP_SUPERVISOR_PROP_LAUNCHER,
  KCP_SUPERVISOR_PROP_ACTOR,
  KCP_SUPERVISOR_PROP_RESTARTS,
  KCP_SUPERVISOR_PROP_NEXT_RESTART,
  KCP_SUPERVISOR_PROP_LAST_REPORT,
  KCP_SUPERVISOR_PROP_LAST_ERROR,
  KCP_SUPERVISOR_N_PROPS,
} KcpSupervisorProp;

struct _KcpSupervisor
{
  GObject parent_instance;

  KcpLauncher *launcher;
  GMainContext *context;
  KcpBacklog *backlog;           /* calls while no child is ready */
  KcpSupervisorState state;

  KcpRestartPolicy policy;
  gboolean kill_unresponsive;
  guint first_ms, most_ms, healthy_ms;
  guint limit, window_ms;

  KcpActor *actor;               /* RUNNING and STOPPING */
  gulong exited_handler, responsive_handler;
  gint64 running_since;          /* monotonic µs; 0: it did not get that far */

  GCancellable *start;           /* of the start under way */
  gboolean manual;               /* somebody has asked for it: its failure is his */
  gboolean automatic;            /* it is a restart by policy */
  gboolean again;                /* STOPPING: to be started after that */

  GSource *timer;                /* WAITING */
  gint64 next_restart;           /* monotonic µs; 0: none */
  guint doublings;               /* of the back-off */
  GArray *history;               /* of gint64: when it was restarted, within the window */
  guint restarts;

  KcpExitReport *last_report;
  GError *last_error;
  GError *verdict;               /* why this side is killing the child */
  GPtrArray *starters, *stoppers;   /* of GTask */
};

void     kcp_supervisor_notify        (KcpSupervisor       *self,
                                       KcpSupervisorProp    prop);
void     kcp_supervisor_emit_restarting (KcpSupervisor     *self,
                                       guint                delay_ms,
                                       KcpExitReport       *report);
void     kcp_supervisor_emit_restarted (KcpSupervisor      *self,
                                       KcpActor            *actor);
void     kcp_supervisor_emit_failed   (KcpSupervisor       *self,
                                       KcpExitReport       *report);

void     kcp_supervisor_callable_init (KcpCallableInterface *iface);

/* ---- policy ---- */

/* Checked against the edges there are. Calls are refused, and fail, where nothing is to come. */
void     kcp_supervisor_move_to       (KcpSupervisor       *self,
                                       KcpSupervisorState   state);
void     kcp_supervisor_refuse_calls  (KcpSupervisor       *self);
/* Takes @report (nullable) and @error. */
void     kcp_supervisor_keep_end      (KcpSupervisor       *self,
                                       KcpExitReport       *report,
                                       GError              *error);
/* Both thaw the notifications that their caller has frozen, so that all that has changed is told
 * at once, and before the signal. No child and none to come, or what the policy says. */
void     kcp_supervisor_come_to_rest  (KcpSupervisor       *self,
                                       KcpSupervisorState   state);
void     kcp_supervisor_apply_policy  (KcpSupervisor       *self,
                                       gboolean             failure);
/* The running child has ended, and the supervisor has not stopped it. */
void     kcp_supervisor_take_exit     (KcpSupervisor       *self,
                                       KcpExitReport       *report);
void     kcp_supervisor_watch_actor   (KcpSupervisor       *self);
void     kcp_supervisor_unwatch_actor (KcpSupervisor       *self);
void     kcp_supervisor_drop_actor    (KcpSupervisor       *self);
void     kcp_supervisor_clear_timer   (KcpSupervisor       *self);
void     kcp_supervisor_reset_limits  (KcpSupervisor       *self);
/* Kills the child if it hangs and that is wanted. */
void     kcp_supervisor_check_responsive (KcpSupervisor    *self);
/* The child goes, nothing waits any more, nobody is told of what comes. */
void     kcp_supervisor_end           (KcpSupervisor       *self);

/* ---- run ---- */

/* Takes the launcher's settings of now for calls that wait. */
void     kcp_supervisor_set_up        (KcpSupervisor       *self);
/* From whichever state, with @manual and @automatic set. */
void     kcp_supervisor_begin_start   (KcpSupervisor       *self);

/* ---- waiters ---- */

GTask   *kcp_supervisor_new_task      (KcpSupervisor       *self,
                                       gpointer             tag,
                                       GCancellable        *cancellable,
                                       GAsyncReadyCallback  callback,
                                       gpointer             user_data);
/* Takes @task. */
void     kcp_supervisor_add_waiter    (GPtrArray           *waiters,
                                       GTask               *task);
/* They are told after they were taken off the list: they may put others on it. */
GPtrArray *kcp_supervisor_steal_waiters (GPtrArray        **waiters);
/* With @error NULL it went well. Takes @waiters. */
void     kcp_supervisor_tell_waiters  (GPtrArray           *waiters,
                                       const GError        *error);

G_END_DECLS
