/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-process-state-private.h"

#include "kcp-debug-private.h"
#include "kcp-error.h"

#include <glib-unix.h>
#include <signal.h>

/* A child whose sockets have ended is given this long to end itself, because its exit status says
 * more than "closed". */
#define LOST_GRACE_US (1 * G_USEC_PER_SEC)

/* How much of a child's stderr goes into the error of a start in which it died. */
#define LAST_WORDS 2000

/* ---- life ---- */

KcpProcess *
kcp_process_ref (KcpProcess *self)
{
  g_atomic_ref_count_inc (&self->ref_count);
  return self;
}

void
kcp_process_unref (KcpProcess *self)
{
  if (!g_atomic_ref_count_dec (&self->ref_count))
    return;

  kcp_process_clear_source (&self->exit_source);
  kcp_process_clear_source (&self->start_timer);
  kcp_process_clear_source (&self->cancel_source);
  kcp_process_clear_source (&self->stop_timer);
  g_clear_pointer (&self->rendezvous, kcp_rendezvous_free);
  g_clear_pointer (&self->link, kcp_link_unref);
  g_clear_pointer (&self->out, kcp_output_free);
  g_clear_pointer (&self->err, kcp_output_free);
  g_clear_pointer (&self->manifest, kcp_manifest_unref);
  g_clear_pointer (&self->report, kcp_exit_report_unref);
  g_clear_pointer (&self->exit_tasks, g_ptr_array_unref);
  g_clear_pointer (&self->directory, kcp_socket_directory_unref);
  g_weak_ref_clear (&self->observed);
  g_clear_object (&self->cancellable);
  g_clear_error (&self->start_error);
  g_clear_pointer (&self->plan, kcp_launch_plan_free);
  g_main_context_unref (self->context);
  g_free (self);
}

void
kcp_process_clear_source (GSource **source)
{
  if (*source)
    g_source_destroy (*source);
  g_clear_pointer (source, g_source_unref);
}

GSource *
kcp_process_add_timeout (KcpProcess  *self,
                         int          milliseconds,
                         GSourceFunc  func)
{
  GSource *source = g_timeout_source_new ((guint) milliseconds);

  g_source_set_callback (source, func, self, NULL);
  g_source_attach (source, self->context);
  return source;
}

/* The handle may be dropped in any thread at any time: it is only told while it can be held. */
void
kcp_process_observe (KcpProcess               *self,
                     const KcpProcessObserver *observer,
                     GObject                  *observed)
{
  self->observer = observer;
  g_weak_ref_set (&self->observed, observed);
}

static void
tell_state (gpointer data)
{
  KcpProcess *self = data;
  g_autoptr (GObject) observed = g_weak_ref_get (&self->observed);

  if (observed)
    self->observer->state (observed);
}

static void
unref_process (gpointer data)
{
  kcp_process_unref (data);
}

/* Only ever forward: a late event changes nothing. */
static gboolean
raise_quietly (KcpProcess    *self,
               KcpActorState  state)
{
  if ((int) state <= self->state)
    return FALSE;

  g_atomic_int_set (&self->state, (int) state);
  return TRUE;
}

void
kcp_process_raise_state (KcpProcess    *self,
                         KcpActorState  state)
{
  if (!raise_quietly (self, state))
    return;

  if (self->link)
    kcp_link_when_free (self->link, tell_state, kcp_process_ref (self), unref_process);
  else
    tell_state (self);
}

KcpLink *
kcp_process_get_link (KcpProcess *self)
{
  return self->link;
}

KcpActorState
kcp_process_get_state (KcpProcess *self)
{
  return (KcpActorState) g_atomic_int_get (&self->state);
}

int
kcp_process_get_pid (KcpProcess *self)
{
  return self->spawned.pid;
}

const char *
kcp_process_get_name (KcpProcess *self)
{
  return self->plan->name;
}

KcpManifest *
kcp_process_get_manifest (KcpProcess *self)
{
  return self->manifest;
}

gboolean
kcp_process_get_responsive (KcpProcess *self)
{
  return g_atomic_int_get (&self->responsive);
}

KcpExitReport *
kcp_process_get_report (KcpProcess *self)
{
  return g_atomic_pointer_get (&self->report);
}

/* ---- exit ---- */

static KcpExitReason
find_reason (KcpProcess          *self,
             const KcpExitStatus *status)
{
  if (self->phase < KCP_PHASE_READY)
    return KCP_EXIT_FAILED;
  if (status->signalled && self->killed)
    return KCP_EXIT_KILLED;
  if (status->signalled)
    return KCP_EXIT_CRASHED;

  return self->step == KCP_STOP_NONE ? KCP_EXIT_EXITED : KCP_EXIT_STOPPED;
}

static KcpExitReport *
make_report (KcpProcess          *self,
             const KcpExitStatus *status)
{
  KcpExitFacts facts = {
    .plugin_name = self->plan->name,
    .pid = self->spawned.pid,
    .reason = find_reason (self, status),
    .phase = self->step == KCP_STOP_NONE ? self->phase : KCP_PHASE_STOPPING,
    .status = *status,
    .ended_by = kcp_process_step_name (self),
    .calls_in_flight = self->link ? kcp_link_count_calls (self->link) : 0,
    .stderr_tail = kcp_output_get_tail (self->err),
    .stdout_tail = kcp_output_get_tail (self->out),
  };

  facts.hint = kcp_exit_hint (status, &self->plan->limits, self->killed, facts.stderr_tail);
  /* A start that the child has not ended itself says how it died. */
  if (facts.reason == KCP_EXIT_FAILED)
    facts.phase = self->phase;
  return kcp_exit_report_new (&facts);
}

/* What a start fails with when the child has died in it. */
static GError *
start_death (KcpProcess          *self,
             const KcpExitStatus *status)
{
  const char *summary = kcp_exit_report_get_summary (self->report);
  const char *tail = kcp_exit_report_get_stderr_tail (self->report);
  gsize length = strlen (tail);
  g_autofree char *cut = g_utf8_make_valid (tail + (length > LAST_WORDS ? length - LAST_WORDS : 0), -1);
  const char *text = g_strstrip (cut);
  const char *hint = "";
  KcpError code;

  if (self->phase < KCP_PHASE_OPENING)
    code = KCP_ERROR_HANDSHAKE_FAILED;
  else
    code = status->signalled ? KCP_ERROR_CHILD_CRASHED : KCP_ERROR_CHILD_EXITED;

  if (self->phase == KCP_PHASE_OPENING && status->signalled && status->number == SIGBUS)
    hint = "; the plugin file may be truncated";

  return g_error_new (KCP_ERROR, (int) code, "%s%s%s%s", summary, hint, text[0] ? "; its last words: " : "",
                      text);
}

static void
tell_exited (gpointer data)
{
  KcpProcess *self = data;
  g_autoptr (GObject) observed = NULL;

  if (raise_quietly (self, KCP_ACTOR_EXITED))
    tell_state (self);
  /* The signal first: one who waits for the stop may hold the last reference on the actor. */
  observed = g_weak_ref_get (&self->observed);
  if (observed)
    self->observer->exited (observed);
  kcp_process_finish_stop (self);
}

static void
close_link (KcpProcess *self)
{
  g_autoptr (GError) reason = kcp_exit_report_to_error (self->report);
  const char *summary = kcp_exit_report_get_summary (self->report);

  kcp_link_refuse (self->link, g_error_new_literal (KCP_ERROR, KCP_ERROR_NOT_RUNNING, summary));
  kcp_link_close (self->link, reason);
}

/* The child has ended. What it has left in its sockets and pipes counts before its death does:
 * a reply that was written is a reply. Then its group goes, for nobody leads it any more. */
static void
take_exit (KcpProcess *self)
{
  KcpExitStatus status;

  if (!self->running)
    return;

  self->running = FALSE;
  kcp_process_clear_source (&self->exit_source);
  if (self->rendezvous)
    kcp_rendezvous_drain (self->rendezvous);
  if (self->link)
    kcp_link_drain (self->link);
  kcp_output_drain (self->out);
  kcp_output_drain (self->err);
  kcp_spawned_reap (&self->spawned, &status);
  /* Who has left the group may hold the pipes for ever, and is no part of this child any more. */
  kcp_output_close (self->out);
  kcp_output_close (self->err);
  g_atomic_pointer_set (&self->report, make_report (self, &status));
  KCP_DEBUG (KCP_DEBUG_CHILD, "%s", kcp_exit_report_get_summary (self->report));

  g_clear_pointer (&self->rendezvous, kcp_rendezvous_free);
  kcp_process_clear_source (&self->stop_timer);
  if (self->started)
    {
      g_autoptr (GError) error = self->start_error ? g_error_copy (self->start_error)
                                                   : start_death (self, &status);

      kcp_process_end_start (self, error);
    }

  /* First its calls, then itself. */
  if (self->link)
    {
      kcp_link_remove_deadline (self->link, &self->lost);
      close_link (self);
      kcp_link_when_free (self->link, tell_exited, kcp_process_ref (self), unref_process);
    }
  else
    tell_exited (self);
  kcp_process_unref (self);
}

static int
get_pid_fd (gpointer process)
{
  return ((KcpProcess *) process)->spawned.pid_fd;
}

static void
exit_seen (gpointer process)
{
  take_exit (process);
}

static int
get_output_fd (gpointer output)
{
  return kcp_output_get_fd (output);
}

static void
output_seen (gpointer output)
{
  kcp_output_read (output);
}

/* A child that prints more than a pipe holds must not wait for a host that waits for it. */
void
kcp_process_watch_in_waits (KcpProcess *self)
{
  kcp_link_watch (self->link, get_output_fd, output_seen, self->out);
  kcp_link_watch (self->link, get_output_fd, output_seen, self->err);
  kcp_link_watch (self->link, get_pid_fd, exit_seen, self);
}

static gboolean
on_pid_fd (int           fd,
           GIOCondition  condition,
           gpointer      data)
{
  take_exit (data);
  return G_SOURCE_REMOVE;
}

/* Where the kernel has no pidfd: the same by asking, since a child watch would reap it before
 * its group can be killed. */
static gboolean
on_poll_exit (gpointer data)
{
  KcpProcess *self = data;

  if (!kcp_spawned_ended (&self->spawned))
    return G_SOURCE_CONTINUE;

  take_exit (self);
  return G_SOURCE_REMOVE;
}

/* Holds a reference until the child is reaped. */
void
kcp_process_watch_exit (KcpProcess *self)
{
  self->running = TRUE;
  kcp_process_ref (self);

  if (self->spawned.pid_fd >= 0)
    {
      self->exit_source = g_unix_fd_source_new (self->spawned.pid_fd, G_IO_IN);
      g_source_set_callback (self->exit_source, G_SOURCE_FUNC (on_pid_fd), self, NULL);
    }
  else
    {
      self->exit_source = g_timeout_source_new (50);
      g_source_set_callback (self->exit_source, on_poll_exit, self, NULL);
    }
  g_source_attach (self->exit_source, self->context);
}

/* ---- what the link tells ---- */

static void
on_invoke (gpointer       owner,
           KcpInvocation *invocation)
{
  KcpProcess *self = owner;

  kcp_callback_handler_handle (self->plan->handler, invocation);
}

static void
on_frame (gpointer      owner,
          KcpFrameKind  kind,
          GBytes       *body)
{
  if (kind == KCP_FRAME_LOG)
    kcp_process_take_log (owner, body);
  else
    kcp_process_take_status (owner, body);
}

/* Its sockets have ended and it lives on: nothing can be said to it any more. */
static void
on_lost_too_long (KcpDeadline *deadline)
{
  KcpProcess *self = (KcpProcess *) ((guint8 *) deadline - G_STRUCT_OFFSET (KcpProcess, lost));
  g_autoptr (GError) error = g_error_new (KCP_ERROR, KCP_ERROR_CONNECTION_CLOSED,
                                          "child “%s” (pid %d) has closed its connection and goes on running",
                                          self->plan->name, self->spawned.pid);

  /* Where the kernel has no pidfd, a thread that blocks learns of the end only here. */
  if (self->running && kcp_spawned_ended (&self->spawned))
    {
      take_exit (self);
      return;
    }

  kcp_process_ref (self);
  if (self->started)
    kcp_process_fail_start (self, g_error_copy (error));
  kcp_link_close (self->link, error);
  kcp_process_kill (self);
  kcp_process_unref (self);
}

static void
on_lost (gpointer      owner,
         const GError *error)
{
  KcpProcess *self = kcp_process_ref (owner);

  if (error)
    {
      /* It has broken the protocol: there is no way to go on with it. */
      g_autoptr (GError) reason = g_error_copy (error);

      g_prefix_error (&reason, "child “%s” (pid %d): ", self->plan->name, self->spawned.pid);
      if (self->started)
        kcp_process_fail_start (self, g_error_copy (reason));
      kcp_link_close (self->link, reason);
      kcp_process_kill (self);
    }
  else if (self->running && self->lost.place == 0)
    {
      self->lost.at = g_get_monotonic_time () + LOST_GRACE_US;
      self->lost.passed = on_lost_too_long;
      kcp_link_add_deadline (self->link, &self->lost);
    }

  kcp_process_unref (self);
}

static void
on_responsive (gpointer owner,
               gboolean responsive)
{
  KcpProcess *self = owner;
  g_autoptr (GObject) observed = g_weak_ref_get (&self->observed);

  g_atomic_int_set (&self->responsive, responsive);
  if (observed)
    self->observer->responsive (observed);
}

const KcpLinkOps kcp_process_link_ops = {
  .invoke = on_invoke,
  .frame = on_frame,
  .lost = on_lost,
  .responsive = on_responsive,
};
