/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-supervisor-private.h"

/* Whoever waits for a start or a stop. Each may end his wait by his cancellable. */

static void
destroy_source (gpointer data)
{
  g_source_destroy (data);
  g_source_unref (data);
}

static gboolean
on_waiter_cancelled (GCancellable *cancellable,
                     gpointer      data)
{
  g_autoptr (GTask) task = g_object_ref (data);
  KcpSupervisor *self = g_task_get_source_object (task);

  if (g_ptr_array_remove (self->starters, task) || g_ptr_array_remove (self->stoppers, task))
    g_task_return_error_if_cancelled (task);
  return G_SOURCE_REMOVE;
}

GTask *
kcp_supervisor_new_task (KcpSupervisor       *self,
                         gpointer             tag,
                         GCancellable        *cancellable,
                         GAsyncReadyCallback  callback,
                         gpointer             user_data)
{
  GTask *task = g_task_new (self, cancellable, callback, user_data);

  g_task_set_source_tag (task, tag);
  g_task_set_check_cancellable (task, FALSE);
  return task;
}

void
kcp_supervisor_add_waiter (GPtrArray *waiters,
                           GTask     *task)
{
  GCancellable *cancellable = g_task_get_cancellable (task);

  if (cancellable)
    {
      GSource *source = g_cancellable_source_new (cancellable);

      g_task_attach_source (task, source, G_SOURCE_FUNC (on_waiter_cancelled));
      g_task_set_task_data (task, source, destroy_source);
    }
  g_ptr_array_add (waiters, task);
}

GPtrArray *
kcp_supervisor_steal_waiters (GPtrArray **waiters)
{
  GPtrArray *taken = *waiters;

  *waiters = g_ptr_array_new_with_free_func (g_object_unref);
  return taken;
}

void
kcp_supervisor_tell_waiters (GPtrArray    *waiters,
                             const GError *error)
{
  for (guint i = 0; i < waiters->len; i++)
    {
      GTask *task = waiters->pdata[i];
      GSource *source = g_task_get_task_data (task);

      if (source)
        g_source_destroy (source);
      if (error)
        g_task_return_error (task, g_error_copy (error));
      else
        g_task_return_boolean (task, TRUE);
    }
  g_ptr_array_unref (waiters);
}
