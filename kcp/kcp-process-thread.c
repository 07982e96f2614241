/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-process-state-private.h"

/* What threads other than the one that runs the context want of a child. It goes by the inbox of
 * its link, so that it keeps its place among the calls of that thread, and reaches a thread that
 * blocks; where the link is closed already, by the context. */

typedef void (*ErrandFunc) (KcpProcess *process,
                            GTask      *task);

typedef struct
{
  KcpProcess *process;
  ErrandFunc func;
  GTask *task;               /* NULL: none */
  gboolean run;
} Errand;

static void
run_errand (gpointer data)
{
  Errand *errand = data;
  KcpLink *link = errand->process->link;

  errand->run = TRUE;
  kcp_link_hold_user_code (link, TRUE);
  errand->func (errand->process, g_steal_pointer (&errand->task));
  kcp_link_hold_user_code (link, FALSE);
}

static void
free_errand (gpointer data)
{
  Errand *errand = data;

  g_clear_object (&errand->task);
  kcp_process_unref (errand->process);
  g_free (errand);
}

static gboolean
on_turn (gpointer data)
{
  run_errand (data);
  return G_SOURCE_REMOVE;
}

/* One that the inbox has not taken, or has dropped at its end. */
static void
free_or_retry (gpointer data)
{
  Errand *errand = data;
  g_autoptr (GSource) source = NULL;

  if (errand->run)
    {
      free_errand (errand);
      return;
    }

  source = g_idle_source_new ();
  g_source_set_priority (source, G_PRIORITY_DEFAULT);
  g_source_set_callback (source, on_turn, errand, free_errand);
  g_source_attach (source, errand->process->context);
}

static void
request (KcpProcess *self,
         ErrandFunc  func,
         GTask      *task)
{
  Errand *errand;

  /* Nothing changes any more, so any thread will do. */
  if (kcp_process_get_state (self) == KCP_ACTOR_EXITED)
    {
      func (self, task);
      return;
    }

  errand = g_new0 (Errand, 1);
  *errand = (Errand) { kcp_process_ref (self), func, task, FALSE };
  kcp_link_run (self->link, run_errand, errand, free_or_retry);
}

static void
stop (KcpProcess *process,
      GTask      *task)
{
  kcp_process_stop (process);
}

static void
end (KcpProcess *process,
     GTask      *task)
{
  kcp_process_kill (process);
}

void
kcp_process_request_stop (KcpProcess *self)
{
  request (self, stop, NULL);
}

void
kcp_process_request_kill (KcpProcess *self)
{
  request (self, end, NULL);
}

/* Takes @task. */
void
kcp_process_request_exit (KcpProcess *self,
                          GTask      *task)
{
  request (self, kcp_process_await_exit, task);
}
