/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-current-private.h"
#include "kcp-error.h"
#include "kcp-invocation-private.h"

/* The callee's view of one request, without a link. The owner writes down what would be sent:
 * i, e or the name of an error. */

typedef struct
{
  KcpInbox *inbox;
  GString *log;
  gboolean drop_when_answered;   /* as a link does */
} Owner;

static void
on_answer (gpointer        data,
           KcpInvocation  *invocation,
           KcpAnswer       kind,
           KcpMessage     *message,
           const GError   *error)
{
  Owner *owner = data;

  g_assert_true ((kind == KCP_ANSWER_ERROR) == (error != NULL));
  g_assert_true ((kind == KCP_ANSWER_ERROR) == (message == NULL));
  if (error)
    g_string_append_printf (owner->log, "[%s]",
                            error->domain == KCP_ERROR ? kcp_error_to_string ((KcpError) error->code)
                                                       : error->message);
  else
    g_string_append_c (owner->log, kind == KCP_ANSWER_ITEM ? 'i' : 'e');

  if (kind != KCP_ANSWER_ITEM && owner->drop_when_answered)
    kcp_invocation_close (invocation);
}

static const KcpInvocationOps ops = { .answer = on_answer };

static void
owner_init (Owner *owner)
{
  *owner = (Owner) { kcp_inbox_new (), g_string_new (NULL), TRUE };
}

static void
owner_clear (Owner *owner)
{
  kcp_inbox_close (owner->inbox);
  kcp_inbox_unref (owner->inbox);
  g_string_free (owner->log, TRUE);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Owner, owner_clear)

static KcpInvocation *
new_invocation (Owner      *owner,
                const char *path)
{
  return kcp_invocation_new (&ops, owner, owner->inbox, kcp_message_new (path, NULL), 3, 2, 1234, FALSE);
}

static JsonNode *
null_node (void)
{
  return json_node_new (JSON_NODE_NULL);
}

static void
test_what_was_asked (void)
{
  g_auto (Owner) owner = { 0 };
  g_autoptr (KcpInvocation) invocation = NULL;

  owner_init (&owner);
  invocation = new_invocation (&owner, "a");
  g_assert_cmpstr (kcp_invocation_get_path (invocation), ==, "a");
  g_assert_true (JSON_NODE_HOLDS_NULL (kcp_invocation_get_body (invocation, NULL)));
  g_assert_cmpuint (kcp_invocation_get_id (invocation), ==, 3);
  g_assert_cmpuint (kcp_invocation_get_parent (invocation), ==, 2);
  g_assert_cmpint (kcp_invocation_get_deadline (invocation), ==, 1234);
  g_assert_true (kcp_invocation_wants_reply (invocation));
  g_assert_true (kcp_invocation_is_open (invocation));
  kcp_invocation_reply (invocation, NULL);
  g_assert_false (kcp_invocation_is_open (invocation));
}

static void
test_items_and_end (void)
{
  g_auto (Owner) owner = { 0 };
  g_autoptr (KcpInvocation) invocation = NULL;

  owner_init (&owner);
  invocation = new_invocation (&owner, "a");
  g_assert_true (kcp_invocation_send_item (invocation, null_node ()));
  g_assert_true (kcp_invocation_send_item (invocation, NULL));
  kcp_invocation_reply (invocation, null_node ());
  g_assert_false (kcp_invocation_send_item (invocation, null_node ()));
  g_assert_cmpstr (owner.log->str, ==, "iie");
}

/* In each order; the first counts and the second is a mistake that the log tells. */
static void
test_twice (void)
{
  for (guint i = 0; i < 4; i++)
    {
      g_auto (Owner) owner = { 0 };
      g_autoptr (KcpInvocation) invocation = NULL;
      g_autoptr (GError) error = g_error_new_literal (G_IO_ERROR, G_IO_ERROR_FAILED, "no");

      owner_init (&owner);
      invocation = new_invocation (&owner, "twice");
      if (i & 1)
        kcp_invocation_reply (invocation, NULL);
      else
        kcp_invocation_fail (invocation, error);

      g_test_expect_message ("kcp", G_LOG_LEVEL_WARNING, "*“twice” was answered twice*");
      if (i & 2)
        kcp_invocation_reply (invocation, NULL);
      else
        kcp_invocation_fail (invocation, error);
      g_test_assert_expected_messages ();
      g_assert_cmpstr (owner.log->str, ==, (i & 1) ? "e" : "[no]");
    }
}

static void
test_unanswered (void)
{
  g_auto (Owner) owner = { 0 };
  KcpInvocation *invocation;

  owner_init (&owner);
  invocation = kcp_invocation_ref (new_invocation (&owner, "a"));
  kcp_invocation_unref (invocation);
  g_assert_cmpstr (owner.log->str, ==, "");
  kcp_invocation_unref (invocation);
  g_assert_cmpstr (owner.log->str, ==, "[unanswered]");
}

/* Nobody is told about a drop when nobody waits, and the memory is the link's as long as it needs it. */
static void
test_closed_then_dropped (void)
{
  g_auto (Owner) owner = { 0 };
  KcpInvocation *invocation;

  owner_init (&owner);
  invocation = new_invocation (&owner, "a");
  kcp_invocation_keep (invocation);
  kcp_invocation_close (invocation);
  g_assert_false (kcp_invocation_is_open (invocation));
  g_assert_false (kcp_invocation_send_item (invocation, NULL));
  kcp_invocation_reply (invocation, NULL);
  kcp_invocation_reply (invocation, NULL);   /* not worth a warning: it was too late anyway */
  kcp_invocation_unref (invocation);
  g_assert_cmpstr (owner.log->str, ==, "");
  g_assert_cmpstr (kcp_invocation_get_path (invocation), ==, "a");
  kcp_invocation_release (invocation);
}

static void
count_up (GCancellable *cancellable,
          guint        *count)
{
  (*count)++;
}

/* Before or after somebody has asked for it. */
static void
test_cancellable (void)
{
  g_auto (Owner) owner = { 0 };
  g_autoptr (KcpInvocation) early = NULL;
  g_autoptr (KcpInvocation) late = NULL;
  guint count = 0;

  owner_init (&owner);
  early = new_invocation (&owner, "a");
  late = new_invocation (&owner, "a");
  g_signal_connect (kcp_invocation_get_cancellable (early), "cancelled", G_CALLBACK (count_up), &count);
  g_assert_false (g_cancellable_is_cancelled (kcp_invocation_get_cancellable (early)));
  kcp_invocation_close (early);
  kcp_invocation_close (early);
  kcp_invocation_close (late);
  g_assert_true (g_cancellable_is_cancelled (kcp_invocation_get_cancellable (early)));
  g_assert_true (g_cancellable_is_cancelled (kcp_invocation_get_cancellable (late)));
  g_assert_cmpuint (count, ==, 1);
}

/* A handler that has answered and tidies up is not told that nobody wanted it. */
static void
test_answered_is_not_cancelled (void)
{
  g_auto (Owner) owner = { 0 };
  g_autoptr (KcpInvocation) invocation = NULL;
  GCancellable *cancellable;

  owner_init (&owner);
  invocation = new_invocation (&owner, "a");
  cancellable = kcp_invocation_get_cancellable (invocation);
  kcp_invocation_reply (invocation, NULL);
  g_assert_cmpstr (owner.log->str, ==, "e");
  g_assert_false (g_cancellable_is_cancelled (cancellable));
}

static void
pass_deadline (KcpInvocation *invocation)
{
  KcpDeadline *deadline = kcp_invocation_deadline (invocation);

  deadline->passed (deadline);
}

static void
test_deadline (void)
{
  g_auto (Owner) owner = { 0 };
  g_autoptr (KcpInvocation) invocation = NULL;

  owner_init (&owner);
  invocation = new_invocation (&owner, "a");
  pass_deadline (invocation);
  g_assert_cmpstr (owner.log->str, ==, "[timed-out]");
  g_assert_true (g_cancellable_is_cancelled (kcp_invocation_get_cancellable (invocation)));
  kcp_invocation_reply (invocation, NULL);   /* without a warning: it was a race */
  kcp_invocation_reply (invocation, NULL);
  g_assert_cmpstr (owner.log->str, ==, "[timed-out]");
}

/* ---- other threads ---- */

#define ITEMS 5000

static gpointer
answer_there (gpointer data)
{
  KcpInvocation *invocation = data;

  for (guint i = 0; i < ITEMS; i++)
    kcp_invocation_send_item (invocation, NULL);
  kcp_invocation_reply (invocation, NULL);
  kcp_invocation_unref (invocation);
  return NULL;
}

static void
test_answer_from_thread (void)
{
  g_auto (Owner) owner = { 0 };
  g_autoptr (GString) expected = g_string_new (NULL);
  GThread *thread;

  owner_init (&owner);
  thread = g_thread_new ("answers", answer_there, new_invocation (&owner, "a"));
  while (owner.log->len <= ITEMS)
    kcp_inbox_take (owner.inbox);
  g_thread_join (thread);
  kcp_inbox_take (owner.inbox);

  for (guint i = 0; i < ITEMS; i++)
    g_string_append_c (expected, 'i');
  g_string_append_c (expected, 'e');
  g_assert_cmpstr (owner.log->str, ==, expected->str);
}

static gpointer
drop_there (gpointer data)
{
  kcp_invocation_unref (data);
  return NULL;
}

static void
test_drop_in_thread (void)
{
  g_auto (Owner) owner = { 0 };

  owner_init (&owner);
  g_thread_join (g_thread_new ("drops", drop_there, new_invocation (&owner, "a")));
  g_assert_cmpstr (owner.log->str, ==, "");
  kcp_inbox_take (owner.inbox);
  g_assert_cmpstr (owner.log->str, ==, "[unanswered]");
}

static gpointer
reply_there (gpointer data)
{
  kcp_invocation_reply (data, NULL);
  return NULL;
}

/* An answer that is on its way home when the deadline passes is still the answer. */
static void
test_deadline_meets_answer (void)
{
  g_auto (Owner) owner = { 0 };
  g_autoptr (KcpInvocation) invocation = NULL;

  owner_init (&owner);
  invocation = new_invocation (&owner, "a");
  g_thread_join (g_thread_new ("replies", reply_there, invocation));
  pass_deadline (invocation);
  kcp_inbox_take (owner.inbox);
  g_assert_cmpstr (owner.log->str, ==, "e");
}

static void
test_close_meets_answer (void)
{
  g_auto (Owner) owner = { 0 };
  g_autoptr (KcpInvocation) invocation = NULL;

  owner_init (&owner);
  invocation = new_invocation (&owner, "a");
  g_thread_join (g_thread_new ("replies", reply_there, invocation));
  kcp_invocation_close (invocation);
  kcp_inbox_take (owner.inbox);
  g_assert_cmpstr (owner.log->str, ==, "");
}

static gpointer
look_at_cancellable (gpointer data)
{
  KcpInvocation *invocation = data;

  while (!g_cancellable_is_cancelled (kcp_invocation_get_cancellable (invocation)))
    g_thread_yield ();
  kcp_invocation_unref (invocation);
  return NULL;
}

/* Made in two threads at once, while a third cancels: all see the same one, and see it cancelled. */
static void
test_cancellable_threads (void)
{
  g_auto (Owner) owner = { 0 };

  owner_init (&owner);
  for (guint i = 0; i < 300; i++)
    {
      g_autoptr (KcpInvocation) invocation = new_invocation (&owner, "a");
      GThread *threads[2];

      for (guint j = 0; j < G_N_ELEMENTS (threads); j++)
        threads[j] = g_thread_new ("looks", look_at_cancellable, kcp_invocation_ref (invocation));
      kcp_invocation_close (invocation);
      for (guint j = 0; j < G_N_ELEMENTS (threads); j++)
        g_thread_join (threads[j]);
    }
}

static void
test_current (void)
{
  g_auto (Owner) owner = { 0 };
  g_autoptr (KcpInvocation) outer = NULL;
  g_autoptr (KcpInvocation) inner = NULL;
  KcpInvocation *before_outer, *before_inner;

  owner_init (&owner);
  outer = new_invocation (&owner, "a");
  inner = new_invocation (&owner, "b");
  g_assert_null (kcp_current_get ());
  before_outer = kcp_current_enter (outer);
  before_inner = kcp_current_enter (inner);
  g_assert_true (kcp_current_get () == inner);
  kcp_current_leave (before_inner);
  g_assert_true (kcp_current_get () == outer);
  kcp_current_leave (before_outer);
  g_assert_null (kcp_current_get ());
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/invocation/what-was-asked", test_what_was_asked);
  g_test_add_func ("/invocation/items-and-end", test_items_and_end);
  g_test_add_func ("/invocation/twice", test_twice);
  g_test_add_func ("/invocation/unanswered", test_unanswered);
  g_test_add_func ("/invocation/closed-then-dropped", test_closed_then_dropped);
  g_test_add_func ("/invocation/cancellable", test_cancellable);
  g_test_add_func ("/invocation/answered-is-not-cancelled", test_answered_is_not_cancelled);
  g_test_add_func ("/invocation/deadline", test_deadline);
  g_test_add_func ("/invocation/answer-from-thread", test_answer_from_thread);
  g_test_add_func ("/invocation/drop-in-thread", test_drop_in_thread);
  g_test_add_func ("/invocation/deadline-meets-answer", test_deadline_meets_answer);
  g_test_add_func ("/invocation/close-meets-answer", test_close_meets_answer);
  g_test_add_func ("/invocation/cancellable-threads", test_cancellable_threads);
  g_test_add_func ("/invocation/current", test_current);

  return g_test_run ();
}
