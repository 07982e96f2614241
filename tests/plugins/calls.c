/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "calls.h"

#include <string.h>

static GPtrArray *held;         /* of KcpInvocation: what “hold” has not answered yet */
static GPtrArray *seen;         /* of char *: what was noted */
static GMutex lock;             /* of seen */
static char *ask_at_start;

/* ---- bodies ---- */

JsonNode *
calls_node (KcpInvocation *invocation,
            const char    *member)
{
  JsonNode *body = kcp_invocation_get_body (invocation, NULL);

  if (body == NULL || !JSON_NODE_HOLDS_OBJECT (body))
    return NULL;

  return json_object_get_member (json_node_get_object (body), member);
}

gint64
calls_int (KcpInvocation *invocation,
           const char    *member,
           gint64         otherwise)
{
  JsonNode *node = calls_node (invocation, member);

  return node ? json_node_get_int (node) : otherwise;
}

const char *
calls_string (KcpInvocation *invocation,
              const char    *member,
              const char    *otherwise)
{
  JsonNode *node = calls_node (invocation, member);

  return node ? json_node_get_string (node) : otherwise;
}

void
calls_reply_int (KcpInvocation *invocation,
                 gint64         number)
{
  kcp_invocation_reply (invocation, json_node_init_int (json_node_alloc (), number));
}

void
calls_note (const char *format,
            ...)
{
  va_list args;

  va_start (args, format);
  g_mutex_lock (&lock);
  g_ptr_array_add (seen, g_strdup_vprintf (format, args));
  g_mutex_unlock (&lock);
  va_end (args);
}

/* ---- plain answers ---- */

/* Bytes and content type too. */
static void
handle_echo (gpointer       self,
             KcpInvocation *invocation)
{
  kcp_invocation_reply_message (invocation, kcp_invocation_get_message (invocation));
}

/* Reads its body as JSON, and fails with what comes of that. */
static void
handle_parse (gpointer       self,
              KcpInvocation *invocation)
{
  GError *error = NULL;
  JsonNode *body = kcp_invocation_get_body (invocation, &error);

  if (body)
    kcp_invocation_reply (invocation, json_node_ref (body));
  else
    kcp_invocation_take_error (invocation, error);
}

static void
handle_fail (gpointer       self,
             KcpInvocation *invocation)
{
  kcp_invocation_fail_printf (invocation,
                              g_quark_from_string (calls_string (invocation, "domain", "calls-error-quark")),
                              (int) calls_int (invocation, "code", 0), "%s",
                              calls_string (invocation, "message", "no message"));
}

static void
handle_drop (gpointer       self,
             KcpInvocation *invocation)
{
}

static void
handle_twice (gpointer       self,
              KcpInvocation *invocation)
{
  calls_reply_int (invocation, 1);
  calls_reply_int (invocation, 2);
}

/* {"size": N, "type": T}: N bytes, JSON text where there is no type; {"text": T}: just that. */
static void
handle_bytes (gpointer       self,
              KcpInvocation *invocation)
{
  const char *text = calls_string (invocation, "text", NULL);
  gsize size = (gsize) calls_int (invocation, "size", 16);
  const char *type = calls_string (invocation, "type", NULL);
  g_autoptr (GBytes) bytes = NULL;
  g_autoptr (KcpMessage) answer = NULL;

  if (text)
    bytes = g_bytes_new (text, strlen (text));
  else
    {
      guint8 *data = g_malloc (size);

      for (gsize i = 0; i < size; i++)
        data[i] = type ? (guint8) i : i == 0 || i == size - 1 ? '"' : 'x';
      bytes = g_bytes_new_take (data, size);
    }

  answer = kcp_message_new_bytes (NULL, bytes, type);
  kcp_invocation_reply_message (invocation, answer);
}

/* ---- what the call carries ---- */

static void
handle_trace (gpointer       self,
              KcpInvocation *invocation)
{
  KcpTraceContext *trace = kcp_invocation_get_trace_context (invocation);
  JsonObject *object = json_object_new ();

  json_object_set_string_member (object, "traceparent", kcp_trace_context_get_traceparent (trace));
  json_object_set_string_member (object, "trace_id", kcp_trace_context_get_trace_id (trace));
  if (kcp_trace_context_get_tracestate (trace))
    json_object_set_string_member (object, "tracestate", kcp_trace_context_get_tracestate (trace));
  if (kcp_message_get_baggage (kcp_invocation_get_message (invocation)))
    json_object_set_string_member (object, "baggage",
                                   kcp_message_get_baggage (kcp_invocation_get_message (invocation)));
  kcp_invocation_reply (invocation, json_node_init_object (json_node_alloc (), object));
  json_object_unref (object);
}

/* Milliseconds left; -1 for as long as it wants. */
static gint64
milliseconds_left (KcpInvocation *invocation)
{
  gint64 deadline = kcp_invocation_get_deadline (invocation);

  return deadline > 0 ? (deadline - g_get_monotonic_time ()) / 1000 : -1;
}

static void
handle_deadline (gpointer       self,
                 KcpInvocation *invocation)
{
  calls_reply_int (invocation, milliseconds_left (invocation));
}

/* ---- later ---- */

static void
handle_hold (gpointer       self,
             KcpInvocation *invocation)
{
  g_ptr_array_add (held, kcp_invocation_ref (invocation));
}

static void
handle_count_held (gpointer       self,
                   KcpInvocation *invocation)
{
  calls_reply_int (invocation, held->len);
}

/* Answers all that “hold” has, each with its own body, the last that came first. */
static void
handle_release (gpointer       self,
                KcpInvocation *invocation)
{
  guint count = held->len;

  while (held->len > 0)
    {
      g_autoptr (KcpInvocation) last = g_ptr_array_steal_index (held, held->len - 1);

      kcp_invocation_reply_message (last, kcp_invocation_get_message (last));
    }
  calls_reply_int (invocation, count);
}

static gpointer
answer_in_thread (gpointer data)
{
  g_autoptr (KcpInvocation) invocation = data;
  gint64 items = calls_int (invocation, "items", 0);

  for (gint64 i = 0; i < items; i++)
    kcp_invocation_send_item (invocation, json_node_init_int (json_node_alloc (), i));
  kcp_invocation_reply_message (invocation, kcp_invocation_get_message (invocation));
  return NULL;
}

/* Echo, from a thread that ends by itself. {"items": N}: as many before. */
static void
handle_thread (gpointer       self,
               KcpInvocation *invocation)
{
  g_thread_unref (g_thread_new ("answer", answer_in_thread, kcp_invocation_ref (invocation)));
}

/* ---- never, until told ---- */

static void
on_cancelled (GCancellable *cancellable,
              gpointer      data)
{
  KcpInvocation *invocation = data;

  calls_note ("%s %s: cancelled, open=%d", kcp_invocation_get_path (invocation),
              calls_string (invocation, "name", ""),
              kcp_invocation_is_open (invocation));
}

static void
drop_watch (gpointer  data,
            GClosure *closure)
{
  kcp_invocation_unref (data);
}

/* Notes when it comes and when nobody wants it any more. The cancellable keeps the invocation. */
static void
handle_wait (gpointer       self,
             KcpInvocation *invocation)
{
  calls_note ("%s %s: came, deadline=%s", kcp_invocation_get_path (invocation),
              calls_string (invocation, "name", ""),
              kcp_invocation_get_deadline (invocation) > 0 ? "yes" : "no");
  g_signal_connect_data (kcp_invocation_get_cancellable (invocation), "cancelled", G_CALLBACK (on_cancelled),
                         kcp_invocation_ref (invocation), drop_watch, 0);
}

static gpointer
sleep_in_thread (gpointer data)
{
  g_autoptr (KcpInvocation) invocation = data;
  GCancellable *cancellable = kcp_invocation_get_cancellable (invocation);
  GPollFD fd;

  if (g_cancellable_make_pollfd (cancellable, &fd))
    {
      g_poll (&fd, 1, -1);
      g_cancellable_release_fd (cancellable);
    }
  calls_note ("%s: woken, open=%d", kcp_invocation_get_path (invocation),
              kcp_invocation_is_open (invocation));
  return NULL;
}

/* The same in a thread that blocks. */
static void
handle_sleep (gpointer       self,
              KcpInvocation *invocation)
{
  g_thread_unref (g_thread_new ("sleep", sleep_in_thread, kcp_invocation_ref (invocation)));
}

/* ---- what others have seen ---- */

/* One-way calls are noted with their body. */
static void
handle_note (gpointer       self,
             KcpInvocation *invocation)
{
  calls_note ("note %" G_GINT64_FORMAT " reply=%d", calls_int (invocation, "number", -1),
              kcp_invocation_wants_reply (invocation));
  kcp_invocation_reply (invocation, NULL);
}

static void
handle_seen (gpointer       self,
             KcpInvocation *invocation)
{
  JsonArray *array = json_array_new ();

  g_mutex_lock (&lock);
  for (guint i = 0; i < seen->len; i++)
    json_array_add_string_element (array, seen->pdata[i]);
  g_ptr_array_set_size (seen, 0);
  g_mutex_unlock (&lock);
  kcp_invocation_reply (invocation, json_node_init_array (json_node_alloc (), array));
  json_array_unref (array);
}

/* ---- streams ---- */

/* {"items": N, "fail": M}: 0 … N-1, then the number of items, or an error with code M. */
static void
handle_count (gpointer       self,
              KcpInvocation *invocation)
{
  gint64 items = calls_int (invocation, "items", 3);
  gint64 code = calls_int (invocation, "fail", -1);

  for (gint64 i = 0; i < items; i++)
    kcp_invocation_send_item (invocation, json_node_init_int (json_node_alloc (), i));

  if (code >= 0)
    kcp_invocation_fail_printf (invocation, G_FILE_ERROR, (int) code, "after %" G_GINT64_FORMAT " items",
                                items);
  else
    calls_reply_int (invocation, items);
}

static gboolean
send_one (gpointer data)
{
  KcpInvocation *invocation = data;

  if (kcp_invocation_send_item (invocation, json_node_init_int (json_node_alloc (), 1)))
    return G_SOURCE_CONTINUE;

  calls_note ("endless: stopped, cancelled=%d",
              g_cancellable_is_cancelled (kcp_invocation_get_cancellable (invocation)));
  return G_SOURCE_REMOVE;
}

/* An item a turn of the main loop, until nobody wants more. */
static void
handle_endless (gpointer       self,
                KcpInvocation *invocation)
{
  g_idle_add_full (G_PRIORITY_DEFAULT_IDLE, send_one, kcp_invocation_ref (invocation),
                   (GDestroyNotify) kcp_invocation_unref);
}

/* Items of bytes: {"items": N, "size": M}. */
static void
handle_blocks (gpointer       self,
               KcpInvocation *invocation)
{
  gint64 items = calls_int (invocation, "items", 1);
  g_autoptr (GBytes) bytes = g_bytes_new_take (g_malloc0 ((gsize) calls_int (invocation, "size", 1)),
                                               (gsize) calls_int (invocation, "size", 1));
  g_autoptr (KcpMessage) item = kcp_message_new_bytes (NULL, bytes, "application/octet-stream");

  for (gint64 i = 0; i < items; i++)
    kcp_invocation_send_item_message (invocation, item);
  calls_reply_int (invocation, items);
}

/* ---- the plugin ---- */

static const KcpHandlerEntry handlers[] = {
  { "echo", "answers with what it got", handle_echo },
  { "parse", "reads its body as JSON", handle_parse },
  { "fail", "fails as asked", handle_fail },
  { "drop", "does not answer", handle_drop },
  { "twice", "answers twice", handle_twice },
  { "bytes", "answers with bytes", handle_bytes },
  { "trace", "the trace of the call", handle_trace },
  { "deadline", "milliseconds left", handle_deadline },
  { "hold", "answers when “release” comes", handle_hold },
  { "count-held", "how many wait for “release”", handle_count_held },
  { "release", "answers what was held, the last first", handle_release },
  { "thread", "echo, from a thread", handle_thread },
  { "wait", "waits until nobody wants it any more", handle_wait },
  { "sleep", "the same, in a thread that blocks", handle_sleep },
  { "note", "notes a number", handle_note },
  { "seen", "what was noted, once", handle_seen },
  { "count", "a stream of numbers", handle_count },
  { "endless", "a stream without an end", handle_endless },
  { "blocks", "a stream of bytes", handle_blocks },
  { "ask-host", "asks the host", handle_ask_host },
  { "chain", "asks the host again and again", handle_chain },
  { "greeting", "what the host said during the start", handle_greeting },
  { "nest", "asks the host, which asks us", handle_nest },
  { "stream-host", "adds up a stream of the host", handle_stream_host },
  { "tell-host", "tells the host, then answers", handle_tell_host },
  { NULL, NULL, NULL },
};

static gboolean
calls_configure (const char  *key,
                 const char  *value,
                 GError     **error)
{
  if (!g_str_equal (key, "ask"))
    {
      g_set_error (error, KCP_ERROR, KCP_ERROR_INVALID_ARGUMENT, "no key “%s”", key);
      return FALSE;
    }

  g_free (ask_at_start);
  ask_at_start = g_strdup (value);
  return TRUE;
}

static gboolean
calls_start (KcpCallbackHandle  *host,
             gpointer           *self,
             GError            **error)
{
  held = g_ptr_array_new_with_free_func ((GDestroyNotify) kcp_invocation_unref);
  seen = g_ptr_array_new_with_free_func (g_free);
  return calls_back_start (host, ask_at_start, error);
}

static void
calls_stop (gpointer self)
{
  calls_back_stop ();
  g_clear_pointer (&held, g_ptr_array_unref);
  g_clear_pointer (&ask_at_start, g_free);
}

static KcpPlugin plugin = {
  .name = "calls",
  .version = "1.2",
  .description = "Answers in every way there is",
  .config_help = "ask=PATH  asks the host during the start",
  .configure = calls_configure,
  .start = calls_start,
  .stop = calls_stop,
  .handlers = handlers,
};

KCP_DEFINE_PLUGIN (plugin)
