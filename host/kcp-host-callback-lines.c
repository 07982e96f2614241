/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-host-callback-lines.h"
#include "kcp-host-answer.h"

/* A call of the plugin that waits for its line. */
typedef struct
{
  HostCallbackLines *owner;   /* borrowed: the table of open ones is the owner's */
  guint64 number;
  KcpInvocation *invocation;
  gulong cancel_handler;
} OpenCallback;

struct _HostCallbackLines
{
  GObject parent_instance;

  const HostStyle *style;     /* NULL for JSON */
  HostEmitFunc emit;          /* NULL once closed */
  gpointer data;

  guint64 n_issued;           /* callbacks are numbered from 1 */
  GHashTable *open;           /* number, inside the value → OpenCallback, owned */
};

static void handler_iface_init (KcpCallbackHandlerInterface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE (HostCallbackLines, host_callback_lines, G_TYPE_OBJECT,
                               G_IMPLEMENT_INTERFACE (KCP_TYPE_CALLBACK_HANDLER, handler_iface_init))

static void
open_callback_free (gpointer data)
{
  OpenCallback *self = data;
  GCancellable *cancellable = kcp_invocation_get_cancellable (self->invocation);

  /* Not g_cancellable_disconnect(): it would wait for ever inside the handler itself. */
  g_clear_signal_handler (&self->cancel_handler, cancellable);
  kcp_invocation_unref (self->invocation);
  g_free (self);
}

static void
fail_unserved (KcpInvocation *invocation)
{
  kcp_invocation_fail_printf (invocation, KCP_ERROR, KCP_ERROR_HANDLER_FAILED,
                              "the input of kcp-host has ended: nobody answers callbacks any more");
}

static void
callback_cancelled (GCancellable *cancellable,
                    gpointer      user_data)
{
  OpenCallback *callback = user_data;
  HostCallbackLines *self = callback->owner;
  guint64 number = callback->number;

  g_hash_table_remove (self->open, &number);
  if (self->emit)
    self->emit (self->data, host_answer_cancelled (self->style, number));
}

static void
handle (KcpCallbackHandler *handler,
        KcpInvocation      *invocation)
{
  HostCallbackLines *self = HOST_CALLBACK_LINES (handler);
  GCancellable *cancellable = kcp_invocation_get_cancellable (invocation);
  g_autoptr (GError) error = NULL;
  OpenCallback *callback;
  char *text;

  if (self->emit == NULL)
    {
      fail_unserved (invocation);
      return;
    }

  text = host_answer_callback (self->style, self->n_issued + 1, invocation, &error);
  if (text == NULL)
    {
      kcp_invocation_fail (invocation, error);
      return;
    }

  self->n_issued++;
  if (!kcp_invocation_wants_reply (invocation))
    kcp_invocation_reply (invocation, NULL);
  else
    {
      callback = g_new0 (OpenCallback, 1);
      callback->owner = self;
      callback->number = self->n_issued;
      callback->invocation = kcp_invocation_ref (invocation);
      if (cancellable)
        callback->cancel_handler = g_signal_connect (cancellable, "cancelled",
                                                     G_CALLBACK (callback_cancelled), callback);
      g_hash_table_insert (self->open, &callback->number, callback);
    }

  self->emit (self->data, text);
}

static void
handler_iface_init (KcpCallbackHandlerInterface *iface)
{
  iface->handle = handle;
}

gboolean
host_callback_lines_answer (HostCallbackLines  *self,
                            HostRequest        *request,
                            GError            **error)
{
  OpenCallback *callback = g_hash_table_lookup (self->open, &request->callback);
  g_autoptr (KcpInvocation) invocation = NULL;

  if (request->callback > self->n_issued)
    {
      g_set_error (error, KCP_ERROR, KCP_ERROR_INVALID_MESSAGE,
                   "there was no callback %" G_GUINT64_FORMAT, request->callback);
      return FALSE;
    }

  if (callback == NULL)
    return TRUE;

  if (request->kind == HOST_REQUEST_CALLBACK_ITEM)
    {
      kcp_invocation_send_item (callback->invocation, g_steal_pointer (&request->body));
      return TRUE;
    }

  /* Out of the table first: the answer may start the next callback. */
  invocation = kcp_invocation_ref (callback->invocation);
  g_hash_table_remove (self->open, &request->callback);
  if (request->kind == HOST_REQUEST_CALLBACK_REPLY)
    kcp_invocation_reply (invocation, g_steal_pointer (&request->body));
  else
    kcp_invocation_fail_printf (invocation, KCP_ERROR, KCP_ERROR_HANDLER_FAILED, "%s", request->text);

  return TRUE;
}

guint
host_callback_lines_get_n_open (HostCallbackLines *self)
{
  return g_hash_table_size (self->open);
}

void
host_callback_lines_close (HostCallbackLines *self)
{
  GHashTableIter iter;
  gpointer value;

  self->emit = NULL;
  for (;;)
    {
      g_autoptr (KcpInvocation) invocation = NULL;

      /* From the start each time: failing one may take others out of the table. */
      g_hash_table_iter_init (&iter, self->open);
      if (!g_hash_table_iter_next (&iter, NULL, &value))
        break;

      invocation = kcp_invocation_ref (((OpenCallback *) value)->invocation);
      g_hash_table_iter_remove (&iter);
      fail_unserved (invocation);
    }
}

static void
host_callback_lines_finalize (GObject *object)
{
  HostCallbackLines *self = HOST_CALLBACK_LINES (object);

  g_clear_pointer (&self->open, g_hash_table_unref);

  G_OBJECT_CLASS (host_callback_lines_parent_class)->finalize (object);
}

static void
host_callback_lines_class_init (HostCallbackLinesClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = host_callback_lines_finalize;
}

static void
host_callback_lines_init (HostCallbackLines *self)
{
  self->open = g_hash_table_new_full (g_int64_hash, g_int64_equal, NULL, open_callback_free);
}

HostCallbackLines *
host_callback_lines_new (const HostStyle *style,
                         HostEmitFunc     emit,
                         gpointer         data)
{
  HostCallbackLines *self = g_object_new (HOST_TYPE_CALLBACK_LINES, NULL);

  self->style = style;
  self->emit = emit;
  self->data = data;
  return self;
}
