/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-host-calls.h"
#include "kcp-host-answer.h"

/* Calls wait here beyond those in flight when more lines are read on the way to an answer to a
 * callback. Beyond this many, or bytes of their lines, they fail as busy. */
#define MAX_WAITING 16384
#define MAX_WAITING_BYTES (64 * 1024 * 1024)

/* When the child's queue is full, a one-way message is tried again after this time. */
#define RETRY_MS 10

/* One line that asks for something, from when it is taken until it is answered. */
typedef struct
{
  HostCalls *owner;           /* a reference belongs to each next_async() in flight */
  char *id;                   /* JSON text; NULL for a one-way message without one */
  guint64 line;
  gsize size;
  gboolean one_way;
  KcpMessage *message;        /* until it is sent */
  GCancellable *cancellable;
  KcpStream *stream;          /* once it is sent */
} Call;

struct _HostCalls
{
  HostWriter *writer;
  const HostStyle *style;
  int timeout_ms;
  const HostCallsFuncs *funcs;
  gpointer data;
  KcpActor *actor;            /* NULL until there is one */

  GHashTable *calls;          /* id, inside the value → Call, owned; no one-way ones */
  GQueue waiting;             /* of Call: those of the table borrowed, one-way ones owned */
  gsize waiting_bytes;
  guint n_in_flight;
  GQueue stalled;             /* of Call, borrowed: in flight, not read on for now */
  guint retry_source;         /* a one-way message found no room: nothing is sent until it runs */

  guint64 last_id;            /* given to a call that came without one */
  guint64 n_failed;
  gboolean closed;
};

static void read_on (Call *call);

static void
call_free (gpointer data)
{
  Call *self = data;

  g_free (self->id);
  g_clear_pointer (&self->message, kcp_message_unref);
  g_clear_object (&self->cancellable);
  g_clear_object (&self->stream);
  g_free (self);
}

static void
calls_clear (gpointer data)
{
  HostCalls *self = data;
  Call *call;

  while ((call = g_queue_pop_head (&self->waiting)))
    if (call->one_way)
      call_free (call);
  g_queue_clear (&self->stalled);
  g_clear_pointer (&self->calls, g_hash_table_unref);
  g_clear_object (&self->actor);
}

static void
emit_error (HostCalls    *self,
            Call         *call,
            const GError *error)
{
  /* An end that the user asked for is no failure. */
  if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    self->n_failed++;

  self->funcs->emit (self->data,
                     host_answer_error (self->style, call->id, call->id ? 0 : call->line, error));
}

/* ---- in flight ---- */

static void
next_done (GObject      *source,
           GAsyncResult *result,
           gpointer      user_data)
{
  Call *call = user_data;
  HostCalls *self = call->owner;
  g_autoptr (GError) error = NULL;
  g_autoptr (KcpMessage) item = kcp_stream_next_finish (KCP_STREAM (source), result, &error);
  g_autoptr (KcpMessage) nothing = kcp_message_new (NULL, NULL);
  char *text = NULL;

  if (self->closed)
    {
      g_rc_box_release_full (self, calls_clear);
      return;
    }

  if (item)
    text = host_answer_item (self->style, call->id, item, &error);
  else if (error == NULL)
    {
      KcpMessage *end = kcp_stream_get_result (call->stream);

      text = host_answer_end (self->style, call->id, end ? end : nothing, &error);
    }

  if (text)
    self->funcs->emit (self->data, text);
  else
    emit_error (self, call, error);

  if (text && item)
    read_on (call);
  else
    {
      self->n_in_flight--;
      g_hash_table_remove (self->calls, call->id);
    }

  self->funcs->changed (self->data);
  g_rc_box_release_full (self, calls_clear);
}

static void
ask_next (Call *call)
{
  g_rc_box_acquire (call->owner);
  kcp_stream_next_async (call->stream, NULL, next_done, call);
}

static void
read_on (Call *call)
{
  if (host_writer_is_full (call->owner->writer))
    g_queue_push_tail (&call->owner->stalled, call);
  else
    ask_next (call);
}

/* ---- from waiting to in flight ---- */

static gboolean
retry (gpointer user_data)
{
  HostCalls *self = user_data;

  self->retry_source = 0;
  self->funcs->changed (self->data);
  return G_SOURCE_REMOVE;
}

/* FALSE if there is no room for it now. */
static gboolean
send_one_way (HostCalls *self,
              Call      *call)
{
  g_autoptr (GError) error = NULL;

  if (kcp_actor_tell (self->actor, call->message, &error))
    return TRUE;

  if (g_error_matches (error, KCP_ERROR, KCP_ERROR_BUSY))
    {
      self->retry_source = g_timeout_add (RETRY_MS, retry, self);
      return FALSE;
    }

  emit_error (self, call, error);
  return TRUE;
}

static void
send_call (HostCalls *self,
           Call      *call)
{
  self->n_in_flight++;
  call->stream = kcp_actor_ask_stream (self->actor, call->message, call->cancellable);
  g_clear_pointer (&call->message, kcp_message_unref);
  read_on (call);
}

void
host_calls_pump (HostCalls *self)
{
  while (!host_writer_is_full (self->writer) && !g_queue_is_empty (&self->stalled))
    ask_next (g_queue_pop_head (&self->stalled));

  /* In the order of the lines, so that nothing overtakes a one-way message. */
  while (self->actor && self->retry_source == 0 && self->n_in_flight < HOST_CALLS_MAX_IN_FLIGHT)
    {
      Call *call = g_queue_peek_head (&self->waiting);

      if (call == NULL || (call->one_way && !send_one_way (self, call)))
        return;

      g_queue_pop_head (&self->waiting);
      self->waiting_bytes -= call->size;
      if (call->one_way)
        call_free (call);
      else
        send_call (self, call);
    }
}

/* ---- lines that ask ---- */

static char *
next_id (HostCalls *self)
{
  for (;;)
    {
      char *id = g_strdup_printf ("%" G_GUINT64_FORMAT, ++self->last_id);

      if (!g_hash_table_contains (self->calls, id))
        return id;
      g_free (id);
    }
}

/* Takes what is in @request. */
static Call *
call_new (HostCalls   *self,
          HostRequest *request,
          guint64      line,
          gsize        size)
{
  Call *call = g_new0 (Call, 1);

  call->owner = self;
  call->line = line;
  call->size = size;
  call->one_way = request->kind == HOST_REQUEST_TELL;
  call->id = g_steal_pointer (&request->id);
  if (!call->one_way && call->id == NULL)
    call->id = next_id (self);
  call->message = g_steal_pointer (&request->message);
  call->cancellable = g_cancellable_new ();

  if (kcp_message_get_timeout (call->message) == KCP_TIMEOUT_DEFAULT)
    kcp_message_set_timeout (call->message, self->timeout_ms);
  return call;
}

gboolean
host_calls_take (HostCalls    *self,
                 HostRequest  *request,
                 guint64       line,
                 gsize         size,
                 GError      **error)
{
  Call *call;

  if (request->kind == HOST_REQUEST_CALL && request->id && g_hash_table_contains (self->calls, request->id))
    {
      g_set_error (error, KCP_ERROR, KCP_ERROR_INVALID_MESSAGE,
                   "the id %s belongs to a call that is not answered yet", request->id);
      return FALSE;
    }

  call = call_new (self, request, line, size);
  if (self->waiting.length >= MAX_WAITING || self->waiting_bytes + size > MAX_WAITING_BYTES)
    {
      g_autoptr (GError) busy = g_error_new_literal (KCP_ERROR, KCP_ERROR_BUSY,
                                                     "too many calls wait behind those in flight");

      emit_error (self, call, busy);
      call_free (call);
      return TRUE;
    }

  if (!call->one_way)
    g_hash_table_insert (self->calls, call->id, call);
  g_queue_push_tail (&self->waiting, call);
  self->waiting_bytes += size;
  return TRUE;
}

void
host_calls_cancel (HostCalls  *self,
                   const char *id)
{
  Call *call = g_hash_table_lookup (self->calls, id);
  g_autoptr (GError) error = NULL;

  if (call == NULL)
    return;

  g_cancellable_cancel (call->cancellable);
  if (call->stream)
    {
      /* One that waits for room in the output must be told of its end as well. */
      if (g_queue_remove (&self->stalled, call))
        ask_next (call);
      return;
    }

  g_queue_remove (&self->waiting, call);
  self->waiting_bytes -= call->size;
  g_set_error_literal (&error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "the call was cancelled before it was sent");
  emit_error (self, call, error);
  g_hash_table_remove (self->calls, id);
}

void
host_calls_cancel_all (HostCalls *self)
{
  g_autoptr (GList) ids = g_hash_table_get_keys (self->calls);

  for (GList *l = ids; l; l = l->next)
    {
      /* A copy: the id goes with its call, and with others if one ends here and now. */
      g_autofree char *id = g_hash_table_contains (self->calls, l->data) ? g_strdup (l->data) : NULL;

      if (id)
        host_calls_cancel (self, id);
    }
}

/* ---- all of them ---- */

HostCalls *
host_calls_new (HostWriter           *writer,
                const HostStyle      *style,
                int                   timeout_ms,
                const HostCallsFuncs *funcs,
                gpointer              data)
{
  HostCalls *self = g_rc_box_new0 (HostCalls);

  self->writer = writer;
  self->style = style;
  self->timeout_ms = timeout_ms;
  self->funcs = funcs;
  self->data = data;
  self->calls = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, call_free);
  g_queue_init (&self->waiting);
  g_queue_init (&self->stalled);
  return self;
}

void
host_calls_close (HostCalls *self)
{
  GHashTableIter iter;
  gpointer value;

  self->closed = TRUE;
  g_clear_handle_id (&self->retry_source, g_source_remove);
  g_hash_table_iter_init (&iter, self->calls);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    g_cancellable_cancel (((Call *) value)->cancellable);
  g_rc_box_release_full (self, calls_clear);
}

void
host_calls_set_actor (HostCalls *self,
                      KcpActor  *actor)
{
  self->actor = g_object_ref (actor);
}

guint
host_calls_get_n_open (HostCalls *self)
{
  return self->n_in_flight + self->waiting.length;
}

guint64
host_calls_get_n_failed (HostCalls *self)
{
  return self->n_failed;
}
