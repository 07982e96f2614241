/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-exit-hint-private.h"
#include "kcp-exit-report-private.h"
#include "kcp-output-private.h"
#include "kcp-process-private.h"
#include "kcp-rendezvous-private.h"
#include "kcp-socket-directory-private.h"

G_BEGIN_DECLS

/* Inside of a process, shared by its parts: kcp-process.c (life and exit), kcp-process-start.c,
 * kcp-process-stop.c, kcp-process-thread.c. Nobody else includes it. */

typedef enum
{
  KCP_STOP_NONE,
  KCP_STOP_GOODBYE,
  KCP_STOP_TERM,
  KCP_STOP_KILL,
  KCP_STOP_OVERDUE,    /* even SIGKILL has not ended it in its time */
} KcpStopStep;

struct _KcpProcess
{
  gatomicrefcount ref_count;
  KcpLaunchPlan *plan;
  GMainContext *context;
  KcpSocketDirectory *directory;   /* held until it is reaped: its watchdog knows the place */
  int state;                       /* atomic: a KcpActorState */
  KcpPhase phase;

  KcpSpawned spawned;
  gboolean running;                /* spawned and not reaped; holds a reference on itself */
  GSource *exit_source;
  KcpOutput *out, *err;

  KcpRendezvous *rendezvous;
  KcpLink *link;
  KcpManifest *manifest;
  int responsive;                  /* atomic */
  KcpDeadline lost;                /* its sockets have ended: it has until then to end itself */

  /* The start, until it has told. */
  KcpProcessStarted started;
  KcpProcessPhase on_phase;
  gpointer start_data;
  GSource *start_timer;
  GCancellable *cancellable;
  GSource *cancel_source;
  GError *start_error;             /* as the child has told it */

  KcpStopStep step;
  gboolean killed;                 /* the host has sent it a signal */
  GSource *stop_timer;
  GPtrArray *exit_tasks;           /* of GTask */
  KcpExitReport *report;           /* atomic; set once */

  const KcpProcessObserver *observer;
  GWeakRef observed;
};

void     kcp_process_raise_state   (KcpProcess      *self,
                                    KcpActorState    state);
void     kcp_process_watch_exit    (KcpProcess      *self);
/* The child's end and what it prints are seen in blocking waits, too. */
void     kcp_process_watch_in_waits (KcpProcess     *self);
/* Once: tells whoever has started it. */
void     kcp_process_end_start     (KcpProcess      *self,
                                    const GError    *error);
/* The start has failed: the child goes, the caller is told at once. Takes @error. */
void     kcp_process_fail_start    (KcpProcess      *self,
                                    GError          *error);
void     kcp_process_take_status   (KcpProcess      *self,
                                    GBytes          *body);
void     kcp_process_take_log      (KcpProcess      *self,
                                    GBytes          *body);
/* Lines that the child prints; @process is a KcpProcess. */
void     kcp_process_log_stdout    (const char      *line,
                                    gpointer         process);
void     kcp_process_log_stderr    (const char      *line,
                                    gpointer         process);
GSource *kcp_process_add_timeout   (KcpProcess      *self,
                                    int              milliseconds,
                                    GSourceFunc      func);
void     kcp_process_clear_source  (GSource        **source);
void     kcp_process_finish_stop   (KcpProcess      *self);
const char *kcp_process_step_name  (KcpProcess      *self);

extern const KcpLinkOps kcp_process_link_ops;

G_END_DECLS
