/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Calls the host back while it serves a call, in each of the ways there are. What the host
 * answers with an error goes back to the caller as it is.
 *
 *   ask, ask-blocking   {"path": P, "body"?: B}   one answer of the host
 *   collect             {"path": P, "body"?: B}   a stream of the host, gathered
 *   tell                {"path": P, "body"?: B}   a message the host does not answer
 *   nest                {"depth": N}              host and child in turn, N deep
 */
#include <kcp-plugin.h>

/* What `start` makes and each handler gets as its `self`. */
typedef struct
{
  KcpCallbackHandle *host;
} Asker;

/* ---- JSON in and out ---- */

static JsonNode *
new_object (void)
{
  JsonNode *node = json_node_new (JSON_NODE_OBJECT);

  json_node_take_object (node, json_object_new ());
  return node;
}

/* Puts the body of @answer into @object. */
static gboolean
set_body (JsonNode    *object,
          const char  *member,
          KcpMessage  *answer,
          GError     **error)
{
  JsonNode *body = kcp_message_get_body (answer, error);

  if (body == NULL)
    return FALSE;

  json_object_set_member (json_node_get_object (object), member, json_node_copy (body));
  return TRUE;
}

static JsonObject *
get_object (KcpInvocation  *invocation,
            GError        **error)
{
  JsonNode *body = kcp_invocation_get_body (invocation, error);

  if (body == NULL)
    return NULL;

  if (!JSON_NODE_HOLDS_OBJECT (body))
    {
      g_set_error_literal (error, KCP_ERROR, KCP_ERROR_INVALID_ARGUMENT, "expected an object");
      return NULL;
    }

  return json_node_get_object (body);
}

/* The message for the host that {"path": P, "body": B} asks for. */
static KcpMessage *
new_message (KcpInvocation  *invocation,
             GError        **error)
{
  JsonObject *object = get_object (invocation, error);
  JsonNode *path, *body;

  if (object == NULL)
    return NULL;

  path = json_object_get_member (object, "path");
  if (path == NULL || !JSON_NODE_HOLDS_VALUE (path) || json_node_get_value_type (path) != G_TYPE_STRING)
    {
      g_set_error_literal (error, KCP_ERROR, KCP_ERROR_INVALID_ARGUMENT, "“path” must be a string");
      return NULL;
    }

  body = json_object_get_member (object, "body");
  return kcp_message_new (json_node_get_string (path), body ? json_node_copy (body) : NULL);
}

/* Ends @invocation with {"answer": …} or with @error, which it takes. */
static void
reply_with_answer (KcpInvocation *invocation,
                   KcpMessage    *answer,
                   GError        *error)
{
  g_autoptr(JsonNode) reply = new_object ();

  if (answer == NULL || !set_body (reply, "answer", answer, &error))
    kcp_invocation_take_error (invocation, error);
  else
    kcp_invocation_reply (invocation, g_steal_pointer (&reply));
}

/* ---- ask ---- */

static void
ask_cb (GObject      *host,
        GAsyncResult *result,
        gpointer      user_data)
{
  g_autoptr(KcpInvocation) invocation = user_data;
  g_autoptr(KcpMessage) answer = NULL;
  GError *error = NULL;

  answer = kcp_callback_handle_ask_finish (KCP_CALLBACK_HANDLE (host), result, &error);
  reply_with_answer (invocation, answer, error);
}

static void
handle_ask (gpointer       self,
            KcpInvocation *invocation)
{
  Asker *asker = self;
  GError *error = NULL;
  g_autoptr(KcpMessage) message = new_message (invocation, &error);

  if (message == NULL)
    {
      kcp_invocation_take_error (invocation, error);
      return;
    }

  /* With the caller's cancellable, nothing goes on here that nobody waits for. */
  kcp_callback_handle_ask_async (asker->host, message, kcp_invocation_get_cancellable (invocation),
                                 ask_cb, kcp_invocation_ref (invocation));
}

/* ---- ask-blocking ---- */

static void
handle_ask_blocking (gpointer       self,
                     KcpInvocation *invocation)
{
  Asker *asker = self;
  GError *error = NULL;
  g_autoptr(KcpMessage) message = new_message (invocation, &error);
  g_autoptr(KcpMessage) answer = NULL;

  if (message)
    answer = kcp_callback_handle_ask (asker->host, message, kcp_invocation_get_cancellable (invocation),
                                      &error);
  reply_with_answer (invocation, answer, error);
}

/* ---- nest ---- */

/* The depth that was asked for, or -1. */
static gint64
get_depth (KcpInvocation  *invocation,
           GError        **error)
{
  JsonObject *object = get_object (invocation, error);
  JsonNode *depth;

  if (object == NULL)
    return -1;

  depth = json_object_get_member (object, "depth");
  if (depth == NULL || !JSON_NODE_HOLDS_VALUE (depth) || json_node_get_value_type (depth) != G_TYPE_INT64 ||
      json_node_get_int (depth) < 0)
    {
      g_set_error_literal (error, KCP_ERROR, KCP_ERROR_INVALID_ARGUMENT,
                           "“depth” must be an integer, 0 or more");
      return -1;
    }

  return json_node_get_int (depth);
}

/* The host's `nest` is expected to ask ours with one less, so that calls and callbacks pile up on
 * both sides. This works while both block, because each side goes on serving what comes from
 * within the call that it waits for. */
static void
handle_nest (gpointer       self,
             KcpInvocation *invocation)
{
  Asker *asker = self;
  GError *error = NULL;
  gint64 depth = get_depth (invocation, &error);
  g_autoptr(JsonNode) reply = new_object ();
  g_autoptr(KcpMessage) message = NULL;
  g_autoptr(KcpMessage) answer = NULL;
  JsonNode *question;

  if (depth < 0)
    goto failed;

  json_object_set_int_member (json_node_get_object (reply), "depth", depth);
  if (depth > 0)
    {
      question = new_object ();
      json_object_set_int_member (json_node_get_object (question), "depth", depth);
      message = kcp_message_new ("nest", question);
      answer = kcp_callback_handle_ask (asker->host, message,
                                        kcp_invocation_get_cancellable (invocation), &error);
      if (answer == NULL || !set_body (reply, "inner", answer, &error))
        goto failed;
    }

  kcp_invocation_reply (invocation, g_steal_pointer (&reply));
  return;

failed:
  kcp_invocation_take_error (invocation, error);
}

/* ---- collect ---- */

typedef struct
{
  KcpInvocation *invocation;
  JsonNode *reply;
} Collection;

static void
collection_free (Collection *self)
{
  json_node_unref (self->reply);
  kcp_invocation_unref (self->invocation);
  g_free (self);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Collection, collection_free)

static void collect_cb (GObject      *source,
                        GAsyncResult *result,
                        gpointer      user_data);

/* Takes @collection. The stream lives as long as the operation it is the source of. */
static void
collect_next (KcpStream  *stream,
              Collection *collection)
{
  kcp_stream_next_async (stream, kcp_invocation_get_cancellable (collection->invocation),
                         collect_cb, collection);
}

static gboolean
collect_item (Collection  *self,
              KcpMessage  *item,
              GError     **error)
{
  JsonObject *reply = json_node_get_object (self->reply);
  JsonNode *body = kcp_message_get_body (item, error);

  if (body == NULL)
    return FALSE;

  json_array_add_element (json_object_get_array_member (reply, "items"), json_node_copy (body));
  return TRUE;
}

static void
collect_cb (GObject      *source,
            GAsyncResult *result,
            gpointer      user_data)
{
  g_autoptr(Collection) self = user_data;
  KcpStream *stream = KCP_STREAM (source);
  GError *error = NULL;
  g_autoptr(KcpMessage) item = kcp_stream_next_finish (stream, result, &error);

  if (error == NULL && item && collect_item (self, item, &error))
    {
      collect_next (stream, g_steal_pointer (&self));
      return;
    }

  /* Neither an item nor an error: that was the end, and the stream has its result. */
  if (error == NULL && set_body (self->reply, "result", kcp_stream_get_result (stream), &error))
    {
      kcp_invocation_reply (self->invocation, json_node_ref (self->reply));
      return;
    }

  kcp_stream_close (stream);
  kcp_invocation_take_error (self->invocation, error);
}

static void
handle_collect (gpointer       self,
                KcpInvocation *invocation)
{
  Asker *asker = self;
  GError *error = NULL;
  g_autoptr(KcpMessage) message = new_message (invocation, &error);
  g_autoptr(KcpStream) stream = NULL;
  Collection *collection;

  if (message == NULL)
    {
      kcp_invocation_take_error (invocation, error);
      return;
    }

  collection = g_new0 (Collection, 1);
  collection->invocation = kcp_invocation_ref (invocation);
  collection->reply = new_object ();
  json_object_set_array_member (json_node_get_object (collection->reply), "items", json_array_new ());

  stream = kcp_callback_handle_ask_stream (asker->host, message,
                                           kcp_invocation_get_cancellable (invocation));
  collect_next (stream, collection);
}

/* ---- tell ---- */

static void
handle_tell (gpointer       self,
             KcpInvocation *invocation)
{
  Asker *asker = self;
  GError *error = NULL;
  g_autoptr(KcpMessage) message = new_message (invocation, &error);
  JsonNode *reply;

  if (message == NULL || !kcp_callback_handle_tell (asker->host, message, &error))
    {
      kcp_invocation_take_error (invocation, error);
      return;
    }

  /* The host takes callbacks before the end of the call they were made in: by the time this
   * answer arrives the message has. */
  reply = new_object ();
  json_object_set_string_member (json_node_get_object (reply), "told", kcp_message_get_path (message));
  kcp_invocation_reply (invocation, reply);
}

/* ---- the plugin ---- */

static gboolean
asker_start (KcpCallbackHandle  *host,
             gpointer           *self,
             GError            **error)
{
  Asker *asker = g_new0 (Asker, 1);

  asker->host = g_object_ref (host);
  *self = asker;
  return TRUE;
}

static void
asker_stop (gpointer self)
{
  Asker *asker = self;

  g_object_unref (asker->host);
  g_free (asker);
}

static const KcpHandlerEntry handlers[] = {
  { "ask", "asks the host: {\"path\": P, \"body\"?: B}", handle_ask },
  { "ask-blocking", "the same, and serves nothing else meanwhile", handle_ask_blocking },
  { "collect", "asks the host for a stream and gathers it: {\"path\": P, \"body\"?: B}", handle_collect },
  { "tell", "tells the host something: {\"path\": P, \"body\"?: B}", handle_tell },
  { "nest", "asks the host's “nest”, which asks this one: {\"depth\": N}", handle_nest },
  { NULL, NULL, NULL },
};

static KcpPlugin plugin = {
  .name = "ask",
  .version = "1",
  .description = "Calls the host back while it is being called",
  .start = asker_start,
  .stop = asker_stop,
  .handlers = handlers,
};

KCP_DEFINE_PLUGIN (plugin)
