/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link-pair.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#define FRAME_LIMIT_DEFAULT (16 * 1024 * 1024)

/* What two of our own sides agree on. */
static const KcpTerms default_terms = {
  .frame_limit = FRAME_LIMIT_DEFAULT,
  .credit = TRUE,
  .our_items = KCP_STREAM_ITEMS,
  .our_bytes = KCP_STREAM_BYTES,
  .their_items = KCP_STREAM_ITEMS,
  .their_bytes = KCP_STREAM_BYTES,
};

/* ---- waiting ---- */

typedef struct
{
  const char *where, *what;
} Guard;

static gboolean
guard_passed (gpointer data)
{
  Guard *guard = data;

  g_error ("%s: waited %d s in vain for: %s", guard->where, GUARD_SECONDS, guard->what);
  return G_SOURCE_REMOVE;
}

guint
guard_start (GMainContext *context,
             const char   *where,
             const char   *what)
{
  g_autoptr (GSource) source = g_timeout_source_new_seconds (GUARD_SECONDS);
  Guard *guard = g_new (Guard, 1);

  *guard = (Guard) { where, what };
  g_source_set_callback (source, guard_passed, guard, g_free);
  return g_source_attach (source, context);
}

void
guard_stop (GMainContext *context,
            guint         id)
{
  g_source_destroy (g_main_context_find_source_by_id (context, id));
}

void
settle (void)
{
  while (g_main_context_iteration (NULL, FALSE))
    ;
}

/* ---- messages ---- */

KcpMessage *
text_message (const char *path,
              const char *json)
{
  g_autoptr (GBytes) bytes = json ? g_bytes_new (json, strlen (json)) : NULL;

  return kcp_message_new_bytes (path, bytes, NULL);
}

char *
message_text (KcpMessage *message)
{
  GBytes *bytes = kcp_message_get_body_bytes (message, NULL);

  g_assert_nonnull (bytes);
  if (g_bytes_get_size (bytes) == 0)
    return g_strdup ("");

  return g_strndup (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes));
}

void
assert_message (KcpMessage *message,
                const char *json)
{
  g_autofree char *text = NULL;

  g_assert_nonnull (message);
  text = message_text (message);
  g_assert_cmpstr (text, ==, json);
}

void
reply_text (KcpInvocation *invocation,
            const char    *json)
{
  g_autoptr (KcpMessage) message = text_message (NULL, json);

  kcp_invocation_reply_message (invocation, message);
}

char *
invocation_text (KcpInvocation *invocation)
{
  return message_text (kcp_invocation_get_message (invocation));
}

/* ---- one side ---- */

static void
on_invoke (gpointer       owner,
           KcpInvocation *invocation)
{
  TestSide *side = owner;

  side->invoked++;
  if (side->handler)
    side->handler (side, invocation);
  else
    g_ptr_array_add (side->kept, kcp_invocation_ref (invocation));
}

static void
on_frame (gpointer      owner,
          KcpFrameKind  kind,
          GBytes       *body)
{
  TestSide *side = owner;
  gsize size = 0;
  const char *text = body ? g_bytes_get_data (body, &size) : "";

  g_ptr_array_add (side->frames,
                   g_strdup_printf ("%s %.*s", kcp_frame_kind_to_string (kind), (int) size, text));
}

static void
on_lost (gpointer      owner,
         const GError *error)
{
  TestSide *side = owner;

  side->lost++;
  if (error && side->lost_error == NULL)
    side->lost_error = g_error_copy (error);

  if (side->close_when_lost)
    side_close (side);
}

static void
on_drained (gpointer owner)
{
  ((TestSide *) owner)->drained++;
}

static void
on_responsive (gpointer owner,
               gboolean responsive)
{
  TestSide *side = owner;

  side->unresponsive = !responsive;
  side->turns++;
}

static const KcpLinkOps ops = {
  .invoke = on_invoke,
  .frame = on_frame,
  .lost = on_lost,
  .drained = on_drained,
  .responsive = on_responsive,
};

static GSocketConnection *
make_connection (int fd)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GSocket) socket = g_socket_new_from_fd (fd, &error);

  g_assert_no_error (error);
  return g_socket_connection_factory_create_connection (socket);
}

void
make_sockets (GSocketConnection **ours,
              GSocketConnection **theirs)
{
  int fds[2];

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
  *ours = make_connection (fds[0]);
  *theirs = make_connection (fds[1]);
}

void
side_init (TestSide          *side,
           KcpLinkSide        which,
           GSocketConnection *request,
           GSocketConnection *callback,
           const KcpTerms    *terms,
           GMainContext      *context)
{
  /* Tests of calls are not tests of the mailbox. */
  const KcpLinkLimits limits = { 100000, 100000, G_MAXINT32 };
  KcpLinkSocket request_socket = { request, kcp_frame_reader_new (KCP_FRAME_HELLO_LIMIT) };
  KcpLinkSocket callback_socket = { callback, kcp_frame_reader_new (KCP_FRAME_HELLO_LIMIT) };

  side->kept = g_ptr_array_new_with_free_func ((GDestroyNotify) kcp_invocation_unref);
  side->frames = g_ptr_array_new_with_free_func (g_free);
  side->close_when_lost = TRUE;
  side->link = kcp_link_new (which, &request_socket, &callback_socket, terms, &ops, side);
  kcp_link_set_limits (side->link, &limits);
  kcp_link_attach (side->link, context);
}

void
side_close (TestSide *side)
{
  g_autoptr (GError) gone = g_error_new_literal (KCP_ERROR, KCP_ERROR_CONNECTION_CLOSED,
                                                 "the test closed it");

  kcp_link_close (side->link, side->lost_error ? side->lost_error : gone);
}

void
side_clear (TestSide *side)
{
  if (side->link)
    side_close (side);
  g_clear_pointer (&side->link, kcp_link_unref);
  g_clear_pointer (&side->kept, g_ptr_array_unref);
  g_clear_pointer (&side->frames, g_ptr_array_unref);
  g_clear_error (&side->lost_error);
}

KcpInvocation *
side_take (TestSide *side)
{
  return g_ptr_array_steal_index (side->kept, 0);
}

/* ---- two links ---- */

LinkPair *
link_pair_new (gsize frame_limit)
{
  LinkPair *pair = g_new0 (LinkPair, 1);
  KcpTerms terms = default_terms;
  g_autoptr (GSocketConnection) host_request = NULL;
  g_autoptr (GSocketConnection) host_callback = NULL;
  g_autoptr (GSocketConnection) child_request = NULL;
  g_autoptr (GSocketConnection) child_callback = NULL;

  if (frame_limit > 0)
    terms.frame_limit = frame_limit;
  make_sockets (&host_request, &child_request);
  make_sockets (&host_callback, &child_callback);
  side_init (&pair->host, KCP_LINK_HOST, host_request, host_callback, &terms, NULL);
  side_init (&pair->child, KCP_LINK_CHILD, child_request, child_callback, &terms, NULL);
  return pair;
}

void
link_pair_free (LinkPair *pair)
{
  side_clear (&pair->host);
  side_clear (&pair->child);
  settle ();
  g_free (pair);
}

/* ---- a child in a thread ---- */

static gpointer
run_child (gpointer data)
{
  ThreadPair *pair = data;

  g_main_context_push_thread_default (pair->context);
  side_init (&pair->child, KCP_LINK_CHILD, pair->child_request, pair->child_callback,
             &default_terms, pair->context);
  g_mutex_lock (&pair->lock);
  pair->running = TRUE;
  g_cond_signal (&pair->started);
  g_mutex_unlock (&pair->lock);

  WAIT_FOR_IN (pair->context, g_atomic_int_get (&pair->quit));

  side_clear (&pair->child);
  while (g_main_context_iteration (pair->context, FALSE))
    ;
  g_main_context_pop_thread_default (pair->context);
  return NULL;
}

ThreadPair *
thread_pair_new (TestHandler child_handler)
{
  ThreadPair *pair = g_new0 (ThreadPair, 1);
  g_autoptr (GSocketConnection) request = NULL;
  g_autoptr (GSocketConnection) callback = NULL;

  make_sockets (&request, &pair->child_request);
  make_sockets (&callback, &pair->child_callback);
  side_init (&pair->host, KCP_LINK_HOST, request, callback, &default_terms, NULL);

  g_mutex_init (&pair->lock);
  g_cond_init (&pair->started);
  pair->context = g_main_context_new ();
  pair->child.handler = child_handler;
  pair->thread = g_thread_new ("child", run_child, pair);
  g_mutex_lock (&pair->lock);
  while (!pair->running)
    g_cond_wait (&pair->started, &pair->lock);
  g_mutex_unlock (&pair->lock);
  return pair;
}

void
thread_pair_free (ThreadPair *pair)
{
  g_atomic_int_set (&pair->quit, 1);
  g_main_context_wakeup (pair->context);
  g_thread_join (pair->thread);
  side_clear (&pair->host);
  settle ();

  g_object_unref (pair->child_request);
  g_object_unref (pair->child_callback);
  g_main_context_unref (pair->context);
  g_mutex_clear (&pair->lock);
  g_cond_clear (&pair->started);
  g_free (pair);
}

/* ---- bare sockets ---- */

RawPair *
raw_pair_new (KcpLinkSide which,
              gsize       frame_limit)
{
  RawPair *pair = g_new0 (RawPair, 1);
  const KcpTerms terms = { .frame_limit = frame_limit ? frame_limit : FRAME_LIMIT_DEFAULT };
  g_autoptr (GSocketConnection) request = NULL;
  g_autoptr (GSocketConnection) callback = NULL;

  make_sockets (&request, &pair->request);
  make_sockets (&callback, &pair->callback);
  pair->fds[KCP_SOCKET_REQUEST] = g_socket_get_fd (g_socket_connection_get_socket (pair->request));
  pair->fds[KCP_SOCKET_CALLBACK] = g_socket_get_fd (g_socket_connection_get_socket (pair->callback));
  for (guint i = 0; i < 2; i++)
    pair->readers[i] = kcp_frame_reader_new (FRAME_LIMIT_DEFAULT);
  side_init (&pair->side, which, request, callback, &terms, NULL);
  return pair;
}

void
raw_pair_free (RawPair *pair)
{
  side_clear (&pair->side);
  settle ();
  for (guint i = 0; i < 2; i++)
    kcp_frame_reader_free (pair->readers[i]);
  g_object_unref (pair->request);
  g_object_unref (pair->callback);
  g_free (pair);
}

/* The link reads while this writes, or a large write would never end. */
void
raw_send_bytes (RawPair       *pair,
                KcpSocketRole  socket,
                gconstpointer  bytes,
                gsize          length)
{
  while (length > 0)
    {
      gssize count = send (pair->fds[socket], bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);

      if (count < 0 && errno == EAGAIN)
        {
          g_main_context_iteration (NULL, TRUE);
          continue;
        }
      if (count < 0 && errno == EPIPE)
        return;   /* the link has seen enough */
      g_assert_cmpint (count, >, 0);
      bytes = (const guint8 *) bytes + count;
      length -= (gsize) count;
    }
}

GByteArray *
raw_frame (KcpFrameKind     kind,
           guint64          id,
           const KcpFields *fields,
           const char      *body)
{
  GByteArray *bytes = g_byte_array_new ();
  gsize fields_size = fields ? kcp_fields_size (fields) : 0;
  gsize body_size = body ? strlen (body) : 0;
  guint8 *deadline;
  KcpFrameHeader header = {
    .length = (guint32) (fields_size + body_size),
    .kind = (guint8) kind,
    .fields_length = (guint16) fields_size,
    .id = id,
  };

  g_byte_array_set_size (bytes, (guint) (KCP_FRAME_HEADER_SIZE + fields_size));
  kcp_frame_header_write (&header, bytes->data);
  if (fields)
    kcp_fields_write (fields, bytes->data + KCP_FRAME_HEADER_SIZE, &deadline);
  if (body)
    g_byte_array_append (bytes, (const guint8 *) body, (guint) body_size);
  return bytes;
}

void
raw_send (RawPair         *pair,
          KcpSocketRole    socket,
          KcpFrameKind     kind,
          guint64          id,
          const KcpFields *fields,
          const char      *body)
{
  g_autoptr (GByteArray) bytes = raw_frame (kind, id, fields, body);

  raw_send_bytes (pair, socket, bytes->data, bytes->len);
}

static gboolean
raw_take (RawPair       *pair,
          KcpSocketRole  socket,
          KcpFrame      *frame)
{
  g_autoptr (GError) error = NULL;
  KcpTake take;

  if (!kcp_frame_reader_ready (pair->readers[socket]))
    kcp_frame_reader_fill (pair->readers[socket], pair->fds[socket], &error);
  g_assert_no_error (error);
  take = kcp_frame_reader_take (pair->readers[socket], frame, &error);
  g_assert_no_error (error);
  return take == KCP_TAKE_FRAME;
}

static gboolean
wake_up (gpointer data)
{
  return G_SOURCE_CONTINUE;
}

void
raw_expect (RawPair       *pair,
            KcpSocketRole  socket,
            KcpFrameKind   kind,
            KcpFrame      *frame)
{
  /* The bare end is in no main loop: it is looked at every so often. */
  guint look = g_timeout_add (1, wake_up, NULL);

  WAIT_FOR (raw_take (pair, socket, frame));
  g_source_remove (look);
  g_assert_cmpstr (kcp_frame_kind_to_string (frame->header.kind), ==, kcp_frame_kind_to_string (kind));
}

void
raw_expect_none (RawPair       *pair,
                 KcpSocketRole  socket)
{
  KcpFrame frame;

  settle ();
  g_assert_false (raw_take (pair, socket, &frame));
  g_assert_true (kcp_frame_reader_is_empty (pair->readers[socket]));
}

/* ---- answers ---- */

static void
reset (Answer *answer)
{
  g_clear_pointer (&answer->message, kcp_message_unref);
  g_clear_error (&answer->error);
}

void
take_answer (GObject      *source,
             GAsyncResult *result,
             gpointer      data)
{
  Answer *answer = data;

  answer->count++;
  reset (answer);
  answer->message = kcp_link_ask_finish (result, &answer->error);
  g_assert_true ((answer->message == NULL) == (answer->error != NULL));
  if (answer->cleared)
    reset (answer);
}

void
answer_clear (Answer *answer)
{
  reset (answer);
  answer->cleared = TRUE;
}

void
ask (TestSide     *side,
     const char   *path,
     const char   *json,
     GCancellable *cancellable,
     Answer       *answer)
{
  g_autoptr (KcpMessage) message = text_message (path, json);

  kcp_link_ask_async (side->link, NULL, message, cancellable, take_answer, answer);
}
