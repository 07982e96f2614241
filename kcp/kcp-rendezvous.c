/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-rendezvous-private.h"

#include "kcp-debug-private.h"
#include "kcp-error.h"
#include "kcp-socket-directory-private.h"
#include "kcp-socket-private.h"
#include "kcp-version.h"

#include <gio/gunixsocketaddress.h>
#include <sys/random.h>
#include <unistd.h>

#define TOKEN_BYTES 16
#define MAX_CANDIDATES 16
/* How long one that has connected may take for its HELLO. */
#define PATIENCE_MS 1000

typedef struct
{
  KcpSocketRole role;
  char *path;
  GSocket *socket;       /* NULL once joined */
  GSource *source;
  gboolean seen;         /* the child has connected */
  KcpLinkSocket joined;
} Listener;

typedef struct
{
  KcpRendezvous *rendezvous;
  Listener *listener;
  GSocketConnection *connection;
  KcpFrameReader *reader;
  GSource *source, *timer;
  gboolean hung_up;
} Candidate;

struct _KcpRendezvous
{
  const KcpRendezvousOps *ops;
  gpointer owner;
  KcpSocketDirectory *directory;
  GMainContext *context;
  Listener listeners[2];
  GPtrArray *candidates;     /* of Candidate */
  char token[TOKEN_BYTES * 2 + 1];
  KcpTerms offered, agreed;
  int pid;
  gboolean *gone;            /* not NULL: set when this is freed */
};

/* ---- candidates ---- */

static void
destroy_source (GSource **source)
{
  if (*source)
    g_source_destroy (*source);
  g_clear_pointer (source, g_source_unref);
}

static void
free_candidate (gpointer data)
{
  Candidate *candidate = data;

  destroy_source (&candidate->source);
  destroy_source (&candidate->timer);
  g_clear_object (&candidate->connection);
  g_clear_pointer (&candidate->reader, kcp_frame_reader_free);
  g_free (candidate);
}

static int
candidate_fd (Candidate *candidate)
{
  return g_socket_get_fd (g_socket_connection_get_socket (candidate->connection));
}

static void
close_listener (Listener *listener)
{
  destroy_source (&listener->source);
  if (listener->socket)
    {
      g_socket_close (listener->socket, NULL);
      unlink (listener->path);
    }
  g_clear_object (&listener->socket);
}

/* The child itself has spoken wrongly: nobody else will come. Frees @candidate; may free all. */
static void
fail (KcpRendezvous *self,
      Candidate     *candidate,
      const GError  *error)
{
  g_ptr_array_remove_fast (self->candidates, candidate);
  self->ops->failed (self->owner, error);
}

/* Someone is turned away. Where only the child is let in, it was the child. */
static void
turn_away (Candidate *candidate,
           GError    *error)
{
  KcpRendezvous *self = candidate->rendezvous;

  g_prefix_error (&error, "%s socket: ", kcp_socket_role_to_string (candidate->listener->role));
  KCP_DEBUG (KCP_DEBUG_CHILD, "handshake: %s", error->message);
  if (self->pid != 0)
    fail (self, candidate, error);
  else
    g_ptr_array_remove_fast (self->candidates, candidate);
  g_error_free (error);
}

static KcpHello
our_hello (KcpRendezvous *self,
           KcpSocketRole  role)
{
  return (KcpHello) {
    .from_child = FALSE,
    .socket = role,
    .protocol_min = KCP_PROTOCOL_MIN,
    .protocol_max = KCP_PROTOCOL_MAX,
    .program = (char *) "kcp " KCP_VERSION_STRING,
    .frame_limit = self->offered.frame_limit,
    .credit = TRUE,
    .fds = TRUE,
    .stream_items = self->offered.our_items,
    .stream_bytes = self->offered.our_bytes,
  };
}

/* May free the rendezvous. */
static void
join (Candidate *candidate)
{
  KcpRendezvous *self = candidate->rendezvous;
  Listener *listener = candidate->listener;

  listener->joined.connection = g_steal_pointer (&candidate->connection);
  listener->joined.reader = g_steal_pointer (&candidate->reader);
  close_listener (listener);

  for (guint i = self->candidates->len; i > 0; i--)
    if (((Candidate *) self->candidates->pdata[i - 1])->listener == listener)
      g_ptr_array_remove_index_fast (self->candidates, i - 1);

  if (self->listeners[0].joined.connection && self->listeners[1].joined.connection)
    self->ops->joined (self->owner, &self->listeners[KCP_SOCKET_REQUEST].joined,
                       &self->listeners[KCP_SOCKET_CALLBACK].joined, &self->agreed);
}

/* May free the candidate and the rendezvous. */
static void
take_hello (Candidate *candidate,
            GBytes    *body)
{
  KcpRendezvous *self = candidate->rendezvous;
  g_auto (KcpHello) theirs = { .program = NULL };
  KcpHello ours = our_hello (self, candidate->listener->role);
  GError *error = NULL;

  if (!kcp_hello_decode (body, &theirs, &error))
    {
      turn_away (candidate, error);
      return;
    }

  if (theirs.token == NULL || !kcp_token_equal (theirs.token, self->token))
    {
      turn_away (candidate, g_error_new_literal (KCP_ERROR, KCP_ERROR_PERMISSION,
                                                 "the token is missing or wrong"));
      return;
    }

  /* It knows the token, so what is wrong from here on is wrong with the child itself. */
  if (!kcp_hello_agree (&ours, &theirs, &self->agreed, &error))
    {
      fail (self, candidate, error);
      g_error_free (error);
      return;
    }

  join (candidate);
}

static gboolean
on_readable (GSocket      *socket,
             GIOCondition  condition,
             gpointer      data)
{
  Candidate *candidate = data;
  g_auto (KcpFrame) frame = { .body = NULL };
  GError *error = NULL;

  switch (kcp_frame_reader_fill (candidate->reader, candidate_fd (candidate), &error))
    {
    case KCP_FILL_AGAIN:
      return G_SOURCE_CONTINUE;
    case KCP_FILL_EOF:
      /* If that was the end of the child, its exit status says more and is about to come. Until
       * patience ends, wait for it. */
      candidate->hung_up = TRUE;
      destroy_source (&candidate->source);
      return G_SOURCE_REMOVE;
    case KCP_FILL_ERROR:
      turn_away (candidate, error);
      return G_SOURCE_REMOVE;
    case KCP_FILL_DATA:
    default:
      break;
    }

  switch (kcp_frame_reader_take (candidate->reader, &frame, &error))
    {
    case KCP_TAKE_MORE:
      return G_SOURCE_CONTINUE;
    case KCP_TAKE_ERROR:
      turn_away (candidate, error);
      return G_SOURCE_REMOVE;
    case KCP_TAKE_FRAME:
    default:
      break;
    }

  if (frame.header.kind == KCP_FRAME_HELLO)
    take_hello (candidate, frame.body);
  else
    turn_away (candidate, g_error_new (KCP_ERROR, KCP_ERROR_PROTOCOL, "%s frame where a HELLO was expected",
                                       kcp_frame_kind_to_string (frame.header.kind)));
  return G_SOURCE_REMOVE;
}

static gboolean
on_impatient (gpointer data)
{
  Candidate *candidate = data;

  if (candidate->hung_up)
    turn_away (candidate, g_error_new_literal (KCP_ERROR, KCP_ERROR_HANDSHAKE_FAILED,
                                               "hung up before its HELLO was complete"));
  else
    turn_away (candidate, g_error_new (KCP_ERROR, KCP_ERROR_HANDSHAKE_TIMED_OUT,
                                       "no HELLO within %d ms of the connection", PATIENCE_MS));
  return G_SOURCE_REMOVE;
}

static void
say_hello (Candidate *candidate)
{
  g_autoptr (KcpFrameWriter) writer = kcp_frame_writer_new ();
  KcpHello ours = our_hello (candidate->rendezvous, candidate->listener->role);
  g_autoptr (GBytes) body = kcp_hello_encode (&ours);

  /* A new socket holds a HELLO many times over; one that does not will say nothing either. */
  kcp_frame_writer_push (writer, KCP_FRAME_HELLO, 0, 0, NULL, 0, body);
  kcp_frame_writer_flush (writer, candidate_fd (candidate), NULL);
}

/* One step for one of them; FALSE: none has anything. */
static gboolean
drain_one (KcpRendezvous *self)
{
  for (guint i = 0; i < self->candidates->len; i++)
    {
      Candidate *candidate = self->candidates->pdata[i];
      GPollFD poll_fd = { candidate_fd (candidate), G_IO_IN, 0 };

      if (!candidate->hung_up && g_poll (&poll_fd, 1, 0) > 0)
        {
          on_readable (NULL, G_IO_IN, candidate);
          return TRUE;
        }
    }

  return FALSE;
}

void
kcp_rendezvous_drain (KcpRendezvous *self)
{
  g_autofree gboolean *gone = g_new0 (gboolean, 1);

  self->gone = gone;
  while (!*gone && drain_one (self))
    ;
  if (!*gone)
    self->gone = NULL;
}

/* ---- listeners ---- */

static gboolean
is_welcome (KcpRendezvous *self,
            GSocket       *socket)
{
  KcpPeer peer;

  return kcp_socket_get_peer (socket, &peer, NULL) && peer.uid == geteuid () &&
         (self->pid == 0 || peer.pid == self->pid) && self->candidates->len < MAX_CANDIDATES;
}

static void
note_connection (KcpRendezvous *self,
                 Listener      *listener)
{
  gboolean first = !listener->seen;

  listener->seen = TRUE;
  if (first && self->listeners[0].seen && self->listeners[1].seen && self->ops->connected)
    self->ops->connected (self->owner);
}

static gboolean
on_connection (GSocket      *socket,
               GIOCondition  condition,
               gpointer      data)
{
  Listener *listener = data;
  KcpRendezvous *self = (KcpRendezvous *) ((guint8 *) (listener - listener->role) -
                                           G_STRUCT_OFFSET (KcpRendezvous, listeners));
  g_autoptr (GSocket) accepted = g_socket_accept (socket, NULL, NULL);
  Candidate *candidate;

  if (accepted == NULL)
    return G_SOURCE_CONTINUE;

  if (!is_welcome (self, accepted))
    {
      KCP_DEBUG (KCP_DEBUG_CHILD, "handshake: a stranger was turned away");
      g_socket_close (accepted, NULL);
      return G_SOURCE_CONTINUE;
    }

  candidate = g_new0 (Candidate, 1);
  candidate->rendezvous = self;
  candidate->listener = listener;
  candidate->connection = g_socket_connection_factory_create_connection (accepted);
  candidate->reader = kcp_frame_reader_new (KCP_FRAME_HELLO_LIMIT);
  g_ptr_array_add (self->candidates, candidate);
  kcp_socket_prepare (accepted);
  say_hello (candidate);

  candidate->source = g_socket_create_source (accepted, G_IO_IN, NULL);
  g_source_set_callback (candidate->source, G_SOURCE_FUNC (on_readable), candidate, NULL);
  g_source_attach (candidate->source, self->context);
  candidate->timer = g_timeout_source_new (PATIENCE_MS);
  g_source_set_callback (candidate->timer, on_impatient, candidate, NULL);
  g_source_attach (candidate->timer, self->context);

  note_connection (self, listener);
  return G_SOURCE_CONTINUE;
}

static gboolean
listen_on (KcpRendezvous  *self,
           KcpSocketRole   role,
           GError        **error)
{
  Listener *listener = &self->listeners[role];
  g_autoptr (GSocketAddress) address = NULL;
  g_autoptr (GError) reason = NULL;

  listener->role = role;
  listener->path = kcp_socket_directory_new_path (self->directory, role == KCP_SOCKET_REQUEST ? "r" : "c");
  address = g_unix_socket_address_new (listener->path);
  listener->socket = g_socket_new (G_SOCKET_FAMILY_UNIX, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT, &reason);
  if (listener->socket && g_socket_bind (listener->socket, address, FALSE, &reason) &&
      g_socket_listen (listener->socket, &reason))
    {
      g_socket_set_blocking (listener->socket, FALSE);
      return TRUE;
    }

  g_set_error (error, KCP_ERROR, KCP_ERROR_SPAWN_FAILED, "cannot make the socket %s: %s",
               listener->path, reason->message);
  return FALSE;
}

/* ---- life ---- */

static gboolean
make_token (char    *token,
            GError **error)
{
  guint8 bytes[TOKEN_BYTES];

  if (getrandom (bytes, sizeof bytes, 0) != sizeof bytes)
    {
      g_set_error_literal (error, KCP_ERROR, KCP_ERROR_SPAWN_FAILED, "the system gives no random numbers");
      return FALSE;
    }

  for (gsize i = 0; i < sizeof bytes; i++)
    g_snprintf (token + 2 * i, 3, "%02x", bytes[i]);
  return TRUE;
}

KcpRendezvous *
kcp_rendezvous_new (const KcpTerms          *terms,
                    const KcpRendezvousOps  *ops,
                    gpointer                 owner,
                    GError                 **error)
{
  g_autoptr (KcpRendezvous) self = g_new0 (KcpRendezvous, 1);

  self->ops = ops;
  self->owner = owner;
  self->offered = *terms;
  self->candidates = g_ptr_array_new_with_free_func (free_candidate);
  self->directory = kcp_socket_directory_get (error);

  if (self->directory == NULL || !make_token (self->token, error) ||
      !listen_on (self, KCP_SOCKET_REQUEST, error) || !listen_on (self, KCP_SOCKET_CALLBACK, error))
    return NULL;

  return g_steal_pointer (&self);
}

void
kcp_rendezvous_free (KcpRendezvous *self)
{
  if (self->gone)
    *self->gone = TRUE;
  g_ptr_array_unref (self->candidates);
  for (guint i = 0; i < G_N_ELEMENTS (self->listeners); i++)
    {
      Listener *listener = &self->listeners[i];

      close_listener (listener);
      g_clear_object (&listener->joined.connection);
      g_clear_pointer (&listener->joined.reader, kcp_frame_reader_free);
      g_free (listener->path);
    }
  g_clear_pointer (&self->directory, kcp_socket_directory_unref);
  g_clear_pointer (&self->context, g_main_context_unref);
  explicit_bzero (self->token, sizeof self->token);
  g_free (self);
}

const char *
kcp_rendezvous_get_path (KcpRendezvous *self,
                         KcpSocketRole  role)
{
  return self->listeners[role].path;
}

const char *
kcp_rendezvous_get_token (KcpRendezvous *self)
{
  return self->token;
}

void
kcp_rendezvous_attach (KcpRendezvous *self,
                       int            pid,
                       GMainContext  *context)
{
  self->pid = pid;
  self->context = g_main_context_ref (context);
  for (guint i = 0; i < G_N_ELEMENTS (self->listeners); i++)
    {
      Listener *listener = &self->listeners[i];

      listener->source = g_socket_create_source (listener->socket, G_IO_IN, NULL);
      g_source_set_callback (listener->source, G_SOURCE_FUNC (on_connection), listener, NULL);
      g_source_attach (listener->source, context);
    }
}

const char *
kcp_rendezvous_get_missing (KcpRendezvous *self)
{
  const Listener *request = &self->listeners[KCP_SOCKET_REQUEST];
  const Listener *callback = &self->listeners[KCP_SOCKET_CALLBACK];

  if (!request->seen)
    return "the child has not connected";
  if (request->socket)
    return "the child has said no HELLO on the request socket";
  if (!callback->seen)
    return "the child has connected the request socket only, the callback socket is missing";

  return "the child has said no HELLO on the callback socket";
}
