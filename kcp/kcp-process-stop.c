/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-process-state-private.h"

#include "kcp-debug-private.h"
#include "kcp-error.h"

#include <signal.h>

/* The ladder. Each step has its time, and each is skipped upward only: whatever the child does,
 * the whole takes no longer than the sum of its steps.
 *
 *   GOODBYE ── drain ──► close, SIGTERM to the group ──► SIGKILL to the group ──► overdue
 */

static gboolean on_step_over (gpointer data);

const char *
kcp_process_step_name (KcpProcess *self)
{
  switch (self->step)
    {
    case KCP_STOP_GOODBYE:
      return "GOODBYE";
    case KCP_STOP_TERM:
      return "SIGTERM";
    case KCP_STOP_KILL:
    case KCP_STOP_OVERDUE:
      return "SIGKILL";
    case KCP_STOP_NONE:
    default:
      return NULL;
    }
}

static void
set_timer (KcpProcess *self,
           int         milliseconds)
{
  kcp_process_clear_source (&self->stop_timer);
  self->stop_timer = kcp_process_add_timeout (self, milliseconds, on_step_over);
}

static void
say_goodbye (KcpProcess *self)
{
  g_autoptr (JsonObject) goodbye = json_object_new ();
  g_autoptr (GBytes) body = NULL;

  json_object_set_int_member (goodbye, "grace_ms", self->plan->drain_timeout);
  body = kcp_codec_encode_object (goodbye);
  kcp_link_mailbox_send_all (self->link);
  kcp_link_send (self->link, KCP_SOCKET_REQUEST, KCP_FRAME_GOODBYE, body);
}

static void
close_link (KcpProcess *self)
{
  g_autoptr (GError) reason = NULL;

  if (self->link == NULL || kcp_link_is_closed (self->link))
    return;

  /* What it has answered by now is answered. */
  kcp_link_drain (self->link);
  reason = g_error_new (KCP_ERROR, KCP_ERROR_STOPPING, "child “%s” (pid %d) was stopped",
                        self->plan->name, self->spawned.pid);
  kcp_link_close (self->link, reason);
}

static void
signal_child (KcpProcess *self,
              int         number)
{
  if (!self->running)
    return;

  self->killed = TRUE;
  kcp_spawned_signal (&self->spawned, number);
}

/* Goes up to @step; what lies below it is skipped. */
static void
climb (KcpProcess  *self,
       KcpStopStep  step)
{
  if (step <= self->step || !self->running)
    return;

  kcp_process_ref (self);
  self->step = step;
  switch (step)
    {
    case KCP_STOP_GOODBYE:
      set_timer (self, self->plan->drain_timeout);
      say_goodbye (self);
      break;
    case KCP_STOP_TERM:
      set_timer (self, self->plan->term_timeout);
      close_link (self);
      signal_child (self, SIGTERM);
      break;
    case KCP_STOP_KILL:
      set_timer (self, self->plan->kill_timeout);
      signal_child (self, SIGKILL);
      close_link (self);
      break;
    case KCP_STOP_OVERDUE:
      kcp_process_clear_source (&self->stop_timer);
      kcp_process_finish_stop (self);
      break;
    case KCP_STOP_NONE:
    default:
      break;
    }
  kcp_process_unref (self);
}

static gboolean
on_step_over (gpointer data)
{
  KcpProcess *self = data;

  /* The timer that calls this is no longer the one to destroy. */
  g_clear_pointer (&self->stop_timer, g_source_unref);
  climb (self, self->step + 1);
  return G_SOURCE_REMOVE;
}

/* New calls are refused from the first step on; what was asked before is answered if there is
 * time. */
static void
refuse_calls (KcpProcess *self)
{
  if (self->link && !kcp_link_is_closed (self->link) && self->step == KCP_STOP_NONE)
    kcp_link_refuse (self->link, g_error_new (KCP_ERROR, KCP_ERROR_STOPPING, "child “%s” (pid %d) is being stopped",
                                              self->plan->name, self->spawned.pid));
}

void
kcp_process_stop (KcpProcess *self)
{
  if (!self->running)
    return;

  kcp_process_ref (self);
  refuse_calls (self);
  kcp_process_raise_state (self, KCP_ACTOR_STOPPING);
  if (self->link && kcp_link_is_whole (self->link) && self->phase == KCP_PHASE_READY)
    climb (self, KCP_STOP_GOODBYE);
  else
    climb (self, KCP_STOP_KILL);
  kcp_process_unref (self);
}

void
kcp_process_kill (KcpProcess *self)
{
  if (!self->running)
    return;

  kcp_process_ref (self);
  refuse_calls (self);
  g_clear_pointer (&self->rendezvous, kcp_rendezvous_free);
  /* First its state: calls that fail with the stop are known by it. */
  kcp_process_raise_state (self, KCP_ACTOR_STOPPING);
  climb (self, KCP_STOP_KILL);
  kcp_process_unref (self);
}

static void
return_report (KcpProcess *self,
               GTask      *task)
{
  if (self->report)
    g_task_return_pointer (task, kcp_exit_report_ref (self->report), (GDestroyNotify) kcp_exit_report_unref);
  else
    g_task_return_new_error (task, KCP_ERROR, KCP_ERROR_TIMED_OUT,
                             "child “%s” (pid %d) did not end within the time of its stop, although it was killed",
                             self->plan->name, self->spawned.pid);
}

/* Someone who waits for the end and may stop waiting. */
typedef struct
{
  KcpProcess *process;
  GTask *task;
} Wait;

static void
free_wait (gpointer data)
{
  Wait *wait = data;

  kcp_process_unref (wait->process);
  g_object_unref (wait->task);
  g_free (wait);
}

static void
end_wait_source (gpointer source)
{
  g_source_destroy (source);
  g_source_unref (source);
}

/* The wait is over, the stop goes on. */
static gboolean
on_wait_cancelled (GCancellable *cancellable,
                   gpointer      data)
{
  Wait *wait = data;

  if (g_ptr_array_remove_fast (wait->process->exit_tasks, wait->task))
    g_task_return_error_if_cancelled (wait->task);
  return G_SOURCE_REMOVE;
}

static void
watch_cancellable (KcpProcess *self,
                   GTask      *task)
{
  GCancellable *cancellable = g_task_get_cancellable (task);
  Wait *wait;
  GSource *source;

  if (cancellable == NULL)
    return;

  wait = g_new (Wait, 1);
  *wait = (Wait) { kcp_process_ref (self), g_object_ref (task) };
  source = g_cancellable_source_new (cancellable);
  g_source_set_callback (source, G_SOURCE_FUNC (on_wait_cancelled), wait, free_wait);
  g_source_attach (source, self->context);
  /* The source holds the task, so it has to go before the task can. */
  g_task_set_task_data (task, source, end_wait_source);
}

void
kcp_process_finish_stop (KcpProcess *self)
{
  g_autoptr (GPtrArray) tasks = g_steal_pointer (&self->exit_tasks);

  self->exit_tasks = g_ptr_array_new_with_free_func (g_object_unref);
  for (guint i = 0; i < tasks->len; i++)
    {
      GTask *task = tasks->pdata[i];

      if (g_task_get_task_data (task))
        g_source_destroy (g_task_get_task_data (task));
      return_report (self, task);
    }
}

void
kcp_process_await_exit (KcpProcess *self,
                        GTask      *task)
{
  if (self->state == KCP_ACTOR_EXITED || self->step == KCP_STOP_OVERDUE)
    {
      return_report (self, task);
      g_object_unref (task);
    }
  else
    {
      g_ptr_array_add (self->exit_tasks, task);
      watch_cancellable (self, task);
    }
}
