/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* How to send a stream without holding up the child or getting ahead of who reads it: a few numbers
 * at a time, and more when there is room. Other calls are served in between.
 *
 *   count {"to": 3}   ►   {"n": 1}  {"n": 2}  {"n": 3}   end {"count": 3}
 *   running           ►   {"running": 0}
 */
#include <kcp-plugin.h>

/* Numbers in one turn of the loop: enough to fill a write, few enough for nobody to wait. */
#define BATCH 32

/* What `start` makes and each handler gets. Counts keep a reference: one that is still under way
 * may outlive `stop`. Used in the main thread only, so it needs no lock. */
typedef struct
{
  guint running;
} Counter;

/* One call of `count`. */
typedef struct
{
  Counter *counter;
  KcpInvocation *invocation;
  gint64 to;
  gint64 total;
  gint64 left;
  guint every_ms;
} Run;

static void
run_free (gpointer data)
{
  Run *run = data;

  run->counter->running--;
  g_rc_box_release (run->counter);
  kcp_invocation_unref (run->invocation);
  g_free (run);
}

static JsonNode *
new_object_with_int (const char *member,
                     gint64      value)
{
  JsonNode *node = json_node_new (JSON_NODE_OBJECT);

  json_node_take_object (node, json_object_new ());
  json_object_set_int_member (json_node_get_object (node), member, value);
  return node;
}

static void run_on (Run *run);

static JsonNode *
next_number (Run *run)
{
  run->left--;
  return new_object_with_int ("n", run->to - run->left);
}

/* Takes @run. All numbers are sent, or nobody wants them. */
static void
run_end (Run *run)
{
  if (kcp_invocation_is_open (run->invocation))
    kcp_invocation_reply (run->invocation, new_object_with_int ("count", run->total));
  run_free (run);
}

static gboolean
on_tick (gpointer data)
{
  Run *run = data;

  if (kcp_invocation_send_item (run->invocation, next_number (run)) && run->left > 0)
    return G_SOURCE_CONTINUE;

  run_end (run);
  return G_SOURCE_REMOVE;
}

/* Takes @run, of which the first number is sent. One more each time the clock says so. */
static void
run_by_clock (Run *run)
{
  g_autoptr(GSource) ticks = g_timeout_source_new (run->every_ms);
  g_autoptr(GSource) cancelled = NULL;

  /* A child source makes its parent ready: a cancellation is noticed at once, not only when the
   * next number is due. */
  cancelled = g_cancellable_source_new (kcp_invocation_get_cancellable (run->invocation));
  g_source_set_dummy_callback (cancelled);
  g_source_add_child_source (ticks, cancelled);

  g_source_set_callback (ticks, on_tick, run, NULL);
  g_source_attach (ticks, g_main_context_get_thread_default ());
}

static void
on_room (GObject      *source,
         GAsyncResult *result,
         gpointer      data)
{
  Run *run = data;

  if (kcp_invocation_send_item_finish (run->invocation, result, NULL) && run->left > 0)
    run_on (run);
  else
    run_end (run);
}

/* Takes @run. A batch of numbers; the last one says when there is room for more, and that is never
 * before the main loop had its turn. */
static void
run_on (Run *run)
{
  gboolean wanted = TRUE;

  for (int i = 1; i < BATCH && run->left > 1 && wanted; i++)
    wanted = kcp_invocation_send_item (run->invocation, next_number (run));

  if (wanted && run->left > 0)
    kcp_invocation_send_item_async (run->invocation, next_number (run), on_room, run);
  else
    run_end (run);
}

/* Reads an optional integer; without one @value stays as it is. */
static gboolean
read_int (JsonObject  *object,
          const char  *member,
          gint64       minimum,
          gint64       maximum,
          gint64      *value,
          GError     **error)
{
  JsonNode *node = json_object_get_member (object, member);

  if (node == NULL)
    return TRUE;

  /* What it holds comes first: json-glib's getters are not made for surprises. */
  if (!JSON_NODE_HOLDS_VALUE (node) || json_node_get_value_type (node) != G_TYPE_INT64 ||
      json_node_get_int (node) < minimum || json_node_get_int (node) > maximum)
    {
      g_set_error (error, KCP_ERROR, KCP_ERROR_INVALID_ARGUMENT,
                   "“%s” must be an integer from %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT,
                   member, minimum, maximum);
      return FALSE;
    }

  *value = json_node_get_int (node);
  return TRUE;
}

static Run *
run_new (KcpInvocation  *invocation,
         GError        **error)
{
  JsonNode *body = kcp_invocation_get_body (invocation, error);
  gint64 from = 1, to = 0, every_ms = 0;
  JsonObject *object;
  Run *run;

  if (body == NULL)
    return NULL;

  if (!JSON_NODE_HOLDS_OBJECT (body) || !json_object_has_member (json_node_get_object (body), "to"))
    {
      g_set_error_literal (error, KCP_ERROR, KCP_ERROR_INVALID_ARGUMENT,
                           "expected an object with “to”, such as {\"to\": 10}");
      return NULL;
    }

  object = json_node_get_object (body);
  if (!read_int (object, "to", G_MININT64, G_MAXINT64, &to, error) ||
      !read_int (object, "from", G_MININT64, G_MAXINT64, &from, error) ||
      !read_int (object, "every_ms", 0, G_MAXINT32, &every_ms, error))
    return NULL;

  /* The count at the end has to fit as well. */
  if (from <= to && (guint64) to - (guint64) from >= G_MAXINT64)
    {
      g_set_error_literal (error, KCP_ERROR, KCP_ERROR_INVALID_ARGUMENT,
                           "there are too many numbers between “from” and “to”");
      return NULL;
    }

  run = g_new0 (Run, 1);
  run->invocation = kcp_invocation_ref (invocation);
  run->to = to;
  run->total = from <= to ? to - from + 1 : 0;
  run->left = run->total;
  run->every_ms = (guint) every_ms;
  return run;
}

static void
handle_count (gpointer       self,
              KcpInvocation *invocation)
{
  Counter *counter = self;
  GError *error = NULL;
  Run *run = run_new (invocation, &error);

  if (run == NULL)
    {
      kcp_invocation_take_error (invocation, error);
      return;
    }

  run->counter = g_rc_box_acquire (counter);
  counter->running++;

  if (run->every_ms == 0 || run->left == 0)
    run_on (run);
  else if (on_tick (run) == G_SOURCE_CONTINUE)
    run_by_clock (run);
}

static void
handle_running (gpointer       self,
                KcpInvocation *invocation)
{
  Counter *counter = self;

  kcp_invocation_reply (invocation, new_object_with_int ("running", counter->running));
}

static gboolean
counter_start (KcpCallbackHandle  *host,
               gpointer           *self,
               GError            **error)
{
  *self = g_rc_box_new0 (Counter);
  return TRUE;
}

static void
counter_stop (gpointer self)
{
  g_rc_box_release (self);
}

static const KcpHandlerEntry handlers[] = {
  { "count", "streams {\"n\": i}: {\"to\": N, \"from\"?: M, \"every_ms\"?: T}", handle_count },
  { "running", "how many counts are under way", handle_running },
  { NULL, NULL, NULL },
};

static KcpPlugin plugin = {
  .name = "count",
  .version = "1",
  .description = "Streams numbers, at once or one by one",
  .start = counter_start,
  .stop = counter_stop,
  .handlers = handlers,
};

KCP_DEFINE_PLUGIN (plugin)
