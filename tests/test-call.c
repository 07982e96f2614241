/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-call-private.h"
#include "kcp-error.h"

#include <string.h>

/* The caller's view of one request, without a link: the owner only writes down what it is told. */

typedef struct
{
  KcpInbox *inbox;
  GString *log;       /* c: closed, C: closed and the callee is to be told, d: deliver, n: notified */
  gboolean deliver;   /* at once, as a link that is free does */
  KcpMessage *message;
  GError *error;
} Owner;

static void
on_closed (gpointer  data,
           KcpCall  *call,
           gboolean  cancel)
{
  g_assert_true (call->done);
  g_string_append_c (((Owner *) data)->log, cancel ? 'C' : 'c');
}

static void
on_deliver (gpointer  data,
            KcpCall  *call)
{
  Owner *owner = data;

  g_string_append_c (owner->log, 'd');
  if (owner->deliver)
    kcp_call_notify (call);
}

static const KcpCallOps ops = { .closed = on_closed, .deliver = on_deliver };

static void
on_answer (GObject      *source,
           GAsyncResult *result,
           gpointer      data)
{
  Owner *owner = data;

  g_assert_true (g_async_result_get_user_data (result) == data);
  g_string_append_c (owner->log, 'n');
  owner->message = kcp_call_finish (KCP_CALL (result), &owner->error);
}

static void
owner_init (Owner *owner)
{
  *owner = (Owner) { .inbox = kcp_inbox_new (), .log = g_string_new (NULL), .deliver = TRUE };
}

static void
owner_clear (Owner *owner)
{
  kcp_inbox_close (owner->inbox);
  kcp_inbox_unref (owner->inbox);
  g_string_free (owner->log, TRUE);
  g_clear_pointer (&owner->message, kcp_message_unref);
  g_clear_error (&owner->error);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Owner, owner_clear)

static KcpCall *
new_call (Owner *owner)
{
  KcpCall *call = kcp_call_new (&ops, owner, owner->inbox, "some/path");

  kcp_call_set_callback (call, NULL, on_answer, owner);
  return call;
}

static KcpMessage *
new_message (void)
{
  return kcp_message_new (NULL, NULL);
}

/* Whatever comes later finds it done. */
static void
meet_everything (KcpCall *call)
{
  kcp_call_take_item (call, new_message ());
  kcp_call_take_end (call, new_message ());
  kcp_call_take_error (call, g_error_new_literal (KCP_ERROR, KCP_ERROR_BUSY, "late"));
  kcp_call_abandon (call, g_error_new_literal (KCP_ERROR, KCP_ERROR_TIMED_OUT, "late"));
}

static void
test_end (void)
{
  g_auto (Owner) owner = { 0 };
  g_autoptr (KcpCall) call = NULL;

  owner_init (&owner);
  call = new_call (&owner);
  kcp_call_take_end (call, new_message ());
  g_assert_cmpstr (owner.log->str, ==, "cdn");
  g_assert_nonnull (owner.message);
  g_assert_no_error (owner.error);

  meet_everything (call);
  g_assert_cmpstr (owner.log->str, ==, "cdn");
}

static void
test_error (void)
{
  g_auto (Owner) owner = { 0 };
  g_autoptr (KcpCall) call = NULL;

  owner_init (&owner);
  call = new_call (&owner);
  kcp_call_take_error (call, g_error_new_literal (KCP_ERROR, KCP_ERROR_STOPPING, "no"));
  meet_everything (call);
  g_assert_cmpstr (owner.log->str, ==, "cdn");
  g_assert_error (owner.error, KCP_ERROR, KCP_ERROR_STOPPING);
}

static void
test_abandon (void)
{
  g_auto (Owner) owner = { 0 };
  g_autoptr (KcpCall) call = NULL;

  owner_init (&owner);
  call = new_call (&owner);
  kcp_call_abandon (call, g_error_new_literal (KCP_ERROR, KCP_ERROR_TIMED_OUT, "long"));
  meet_everything (call);
  g_assert_cmpstr (owner.log->str, ==, "Cdn");
  g_assert_error (owner.error, KCP_ERROR, KCP_ERROR_TIMED_OUT);
}

static void
test_deadline (void)
{
  g_auto (Owner) owner = { 0 };
  g_autoptr (KcpCall) call = NULL;

  owner_init (&owner);
  call = new_call (&owner);
  call->deadline.passed (&call->deadline);
  g_assert_cmpstr (owner.log->str, ==, "Cdn");
  g_assert_error (owner.error, KCP_ERROR, KCP_ERROR_TIMED_OUT);
  g_assert_nonnull (strstr (owner.error->message, "some/path"));
}

/* Items to someone who has not asked for any. */
static void
test_unwanted_item (void)
{
  g_auto (Owner) owner = { 0 };
  g_autoptr (KcpCall) call = NULL;

  owner_init (&owner);
  call = new_call (&owner);
  kcp_call_take_item (call, new_message ());
  g_assert_cmpstr (owner.log->str, ==, "Cdn");
  g_assert_error (owner.error, KCP_ERROR, KCP_ERROR_INVALID_MESSAGE);
  g_assert_nonnull (strstr (owner.error->message, "stream"));
}

static void
on_items (KcpCall  *call,
          gpointer  data)
{
  g_string_append_c (((Owner *) data)->log, 'n');
}

static void
test_items (void)
{
  g_auto (Owner) owner = { 0 };
  g_autoptr (KcpCall) call = NULL;

  owner_init (&owner);
  owner.deliver = FALSE;
  call = kcp_call_new (&ops, &owner, owner.inbox, NULL);
  kcp_call_set_notify (call, on_items, &owner);

  /* Told once until it has looked. */
  kcp_call_take_item (call, new_message ());
  kcp_call_take_item (call, new_message ());
  g_assert_cmpstr (owner.log->str, ==, "d");
  kcp_call_notify (call);
  kcp_call_take_item (call, new_message ());
  g_assert_cmpstr (owner.log->str, ==, "dnd");
  g_assert_cmpuint (call->items.length, ==, 3);

  kcp_call_take_end (call, new_message ());
  kcp_call_notify (call);
  meet_everything (call);
  g_assert_cmpstr (owner.log->str, ==, "dndcn");
  g_assert_cmpuint (call->items.length, ==, 3);
}

/* Whoever has gone away is not told. */
static void
test_nobody_waits (void)
{
  g_auto (Owner) owner = { 0 };
  g_autoptr (KcpCall) call = NULL;

  owner_init (&owner);
  call = kcp_call_new (&ops, &owner, owner.inbox, "x");
  kcp_call_take_end (call, new_message ());
  g_assert_cmpstr (owner.log->str, ==, "c");
  owner.message = kcp_call_finish (call, &owner.error);
  g_assert_nonnull (owner.message);
}

static void
test_async_result (void)
{
  g_auto (Owner) owner = { 0 };
  g_autoptr (KcpCall) call = NULL;
  g_autoptr (GObject) source = g_object_new (G_TYPE_OBJECT, NULL);
  g_autoptr (GObject) got = NULL;

  owner_init (&owner);
  call = kcp_call_new (&ops, &owner, owner.inbox, "x");
  kcp_call_set_callback (call, source, on_answer, &owner);
  got = g_async_result_get_source_object (G_ASYNC_RESULT (call));
  g_assert_true (got == source);
  g_assert_false (g_async_result_is_tagged (G_ASYNC_RESULT (call), &owner));
  kcp_call_take_end (call, new_message ());
  g_clear_object (&got);
  g_assert_finalize_object (g_steal_pointer (&source));   /* not kept beyond the callback */
}

/* ---- cancelling ---- */

static void
test_cancelled_before (void)
{
  g_auto (Owner) owner = { 0 };
  g_autoptr (KcpCall) call = NULL;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();

  owner_init (&owner);
  call = new_call (&owner);
  g_cancellable_cancel (cancellable);
  g_assert_false (kcp_call_watch (call, cancellable));
  g_assert_true (kcp_call_watch (call, NULL));
  g_assert_cmpstr (owner.log->str, ==, "");
}

/* From a handler of "cancelled" nothing of ours runs: the news waits in the inbox. */
static void
test_cancel (void)
{
  g_auto (Owner) owner = { 0 };
  g_autoptr (KcpCall) call = NULL;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();

  owner_init (&owner);
  call = new_call (&owner);
  g_assert_true (kcp_call_watch (call, cancellable));
  g_cancellable_cancel (cancellable);
  g_assert_cmpstr (owner.log->str, ==, "");
  kcp_inbox_take (owner.inbox);
  g_assert_cmpstr (owner.log->str, ==, "Cdn");
  g_assert_error (owner.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  kcp_inbox_take (owner.inbox);
  g_assert_cmpstr (owner.log->str, ==, "Cdn");
}

static void
test_cancel_after_end (void)
{
  g_auto (Owner) owner = { 0 };
  KcpCall *call;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();

  owner_init (&owner);
  call = new_call (&owner);
  g_assert_true (kcp_call_watch (call, cancellable));
  kcp_call_take_end (call, new_message ());
  g_cancellable_cancel (cancellable);
  kcp_inbox_take (owner.inbox);
  g_assert_cmpstr (owner.log->str, ==, "cdn");
  /* A cancellable that lives on does not keep the call. */
  g_assert_finalize_object (call);
}

static void
test_end_after_cancel (void)
{
  g_auto (Owner) owner = { 0 };
  g_autoptr (KcpCall) call = NULL;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();

  owner_init (&owner);
  call = new_call (&owner);
  g_assert_true (kcp_call_watch (call, cancellable));
  g_cancellable_cancel (cancellable);
  kcp_call_take_end (call, new_message ());   /* the news had not been read yet */
  kcp_inbox_take (owner.inbox);
  g_assert_cmpstr (owner.log->str, ==, "cdn");
  g_assert_no_error (owner.error);
}

typedef struct
{
  GCancellable *cancellable;
  int go;   /* atomic */
} Canceller;

static gpointer
cancel_it (gpointer data)
{
  Canceller *canceller = data;

  g_atomic_int_set (&canceller->go, 1);
  g_cancellable_cancel (canceller->cancellable);
  return NULL;
}

/* However the watching and the cancelling meet, the news is either told at once or it comes. */
static void
test_cancel_races_watch (void)
{
  for (guint i = 0; i < 500; i++)
    {
      g_auto (Owner) owner = { 0 };
      g_autoptr (KcpCall) call = NULL;
      g_autoptr (GCancellable) cancellable = g_cancellable_new ();
      Canceller canceller = { cancellable, 0 };
      GThread *thread;
      gboolean watched;

      owner_init (&owner);
      call = new_call (&owner);
      thread = g_thread_new ("canceller", cancel_it, &canceller);
      while (!g_atomic_int_get (&canceller.go))
        ;
      for (volatile guint pause = i % 64 * 8; pause > 0; pause--)
        ;
      watched = kcp_call_watch (call, cancellable);
      g_thread_join (thread);
      kcp_inbox_take (owner.inbox);
      g_assert_cmpstr (owner.log->str, ==, watched ? "Cdn" : "");
    }
}

static gpointer
cancel_again (gpointer data)
{
  g_cancellable_cancel (data);
  g_object_unref (data);
  return NULL;
}

/* The handler may be running in another thread when the call is done and let go. */
static void
test_cancel_races_end (void)
{
  for (guint i = 0; i < 500; i++)
    {
      g_auto (Owner) owner = { 0 };
      KcpCall *call;
      g_autoptr (GCancellable) cancellable = g_cancellable_new ();
      GThread *thread;

      owner_init (&owner);
      call = new_call (&owner);
      g_assert_true (kcp_call_watch (call, cancellable));
      thread = g_thread_new ("canceller", cancel_again, g_object_ref (cancellable));
      kcp_call_take_end (call, new_message ());
      g_object_unref (call);
      g_thread_join (thread);
      kcp_inbox_take (owner.inbox);
      g_assert_cmpstr (owner.log->str, ==, "cdn");
    }
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/call/end", test_end);
  g_test_add_func ("/call/error", test_error);
  g_test_add_func ("/call/abandon", test_abandon);
  g_test_add_func ("/call/deadline", test_deadline);
  g_test_add_func ("/call/unwanted-item", test_unwanted_item);
  g_test_add_func ("/call/items", test_items);
  g_test_add_func ("/call/nobody-waits", test_nobody_waits);
  g_test_add_func ("/call/async-result", test_async_result);
  g_test_add_func ("/call/cancelled-before", test_cancelled_before);
  g_test_add_func ("/call/cancel", test_cancel);
  g_test_add_func ("/call/cancel-after-end", test_cancel_after_end);
  g_test_add_func ("/call/end-after-cancel", test_end_after_cancel);
  g_test_add_func ("/call/cancel-races-watch", test_cancel_races_watch);
  g_test_add_func ("/call/cancel-races-end", test_cancel_races_end);

  return g_test_run ();
}
