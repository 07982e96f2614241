/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-deadlines-private.h"
#include "kcp-inbox-private.h"

#include <poll.h>

/* The heap of deadlines, and the inbox by which other threads come in. */

/* ---- deadlines ---- */

typedef struct
{
  KcpDeadline deadline;   /* first: the callback gets a pointer to it */
  guint passed;
  gint64 again_at;        /* sets itself again when it has passed */
} Thing;

static KcpDeadlines deadlines;
static gint64 last_at;
static guint n_passed;

static void
on_passed (KcpDeadline *deadline)
{
  Thing *thing = (Thing *) deadline;

  g_assert_cmpuint (deadline->place, ==, 0);
  g_assert_cmpint (deadline->at, >=, last_at);
  last_at = deadline->at;
  thing->passed++;
  n_passed++;
  if (thing->again_at > 0)
    {
      deadline->at = thing->again_at;
      thing->again_at = 0;
      kcp_deadlines_add (&deadlines, deadline);
    }
}

static void
begin (void)
{
  kcp_deadlines_init (&deadlines);
  last_at = 0;
  n_passed = 0;
}

static void
check_heap (void)
{
  for (guint i = 0; i < deadlines.heap->len; i++)
    {
      KcpDeadline *deadline = deadlines.heap->pdata[i];

      g_assert_cmpuint (deadline->place, ==, i + 1);
      if (i > 0)
        g_assert_cmpint (((KcpDeadline *) deadlines.heap->pdata[(i - 1) / 2])->at, <=, deadline->at);
    }
}

static void
test_order (void)
{
  Thing things[1000] = { 0 };

  begin ();
  g_assert_cmpint (kcp_deadlines_next (&deadlines), ==, 0);
  for (guint i = 0; i < G_N_ELEMENTS (things); i++)
    {
      things[i].deadline.passed = on_passed;
      things[i].deadline.at = g_test_rand_int_range (1, 300);   /* many at the same time */
      kcp_deadlines_add (&deadlines, &things[i].deadline);
    }
  check_heap ();

  for (gint64 now = 1; now < 310; now += 7)
    {
      kcp_deadlines_run (&deadlines, now);
      check_heap ();
      for (guint i = 0; i < G_N_ELEMENTS (things); i++)
        g_assert_cmpuint (things[i].passed, ==, things[i].deadline.at <= now ? 1 : 0);
      g_assert_true (kcp_deadlines_next (&deadlines) == 0 || kcp_deadlines_next (&deadlines) > now);
    }
  g_assert_cmpuint (n_passed, ==, G_N_ELEMENTS (things));
  kcp_deadlines_clear (&deadlines);
}

/* Out of the middle, the front and the end; twice, and never having been in. */
static void
test_remove (void)
{
  Thing things[200] = { 0 };
  guint left = G_N_ELEMENTS (things);

  begin ();
  for (guint i = 0; i < G_N_ELEMENTS (things); i++)
    {
      things[i].deadline.passed = on_passed;
      things[i].deadline.at = 1 + (i * 7919) % 200;
      kcp_deadlines_add (&deadlines, &things[i].deadline);
    }

  for (guint i = 0; i < G_N_ELEMENTS (things); i += 1 + (guint) g_test_rand_int_range (0, 3))
    {
      kcp_deadlines_remove (&deadlines, &things[i].deadline);
      kcp_deadlines_remove (&deadlines, &things[i].deadline);
      g_assert_cmpuint (things[i].deadline.place, ==, 0);
      things[i].passed = 100;
      left--;
      check_heap ();
    }

  kcp_deadlines_run (&deadlines, G_MAXINT64);
  g_assert_cmpuint (n_passed, ==, left);
  for (guint i = 0; i < G_N_ELEMENTS (things); i++)
    g_assert_true (things[i].passed == 1 || things[i].passed == 100);
  kcp_deadlines_clear (&deadlines);
}

static void
test_again (void)
{
  Thing thing = { .deadline = { .at = 10, .passed = on_passed }, .again_at = 20 };

  begin ();
  kcp_deadlines_add (&deadlines, &thing.deadline);
  kcp_deadlines_run (&deadlines, 15);
  g_assert_cmpuint (thing.passed, ==, 1);
  g_assert_cmpint (kcp_deadlines_next (&deadlines), ==, 20);
  kcp_deadlines_run (&deadlines, 20);
  g_assert_cmpuint (thing.passed, ==, 2);
  g_assert_cmpint (kcp_deadlines_next (&deadlines), ==, 0);

  /* One that is still set when all goes may be set elsewhere. */
  kcp_deadlines_add (&deadlines, &thing.deadline);
  kcp_deadlines_clear (&deadlines);
  g_assert_cmpuint (thing.deadline.place, ==, 0);
}

static Thing *removed_by_other;

static void
on_passed_remove_other (KcpDeadline *deadline)
{
  kcp_deadlines_remove (&deadlines, &removed_by_other->deadline);
}

static void
test_remove_other (void)
{
  Thing first = { .deadline = { .at = 1, .passed = on_passed_remove_other } };
  Thing second = { .deadline = { .at = 1, .passed = on_passed } };

  begin ();
  removed_by_other = &second;
  kcp_deadlines_add (&deadlines, &first.deadline);
  kcp_deadlines_add (&deadlines, &second.deadline);
  kcp_deadlines_run (&deadlines, 5);
  g_assert_cmpuint (second.passed, ==, 0);
  kcp_deadlines_clear (&deadlines);
}

/* ---- inbox ---- */

typedef struct
{
  KcpInbox *inbox;
  GString *log;
  char name;
  guint post_more;        /* letters that this one posts when it is read */
  gboolean take, close;   /* what it does with the inbox when it is read */
} Letter;

static gboolean
is_readable (KcpInbox *inbox)
{
  struct pollfd fd = { kcp_inbox_get_fd (inbox), POLLIN, 0 };

  return poll (&fd, 1, 0) == 1;
}

static void
read_letter (gpointer data)
{
  Letter *letter = data;
  static Letter more;

  g_string_append_c (letter->log, letter->name);
  more = (Letter) { letter->inbox, letter->log, '+', 0, FALSE, FALSE };
  for (guint i = 0; i < letter->post_more; i++)
    kcp_inbox_post (letter->inbox, read_letter, &more, NULL);
  if (letter->take)
    {
      g_string_append_c (letter->log, '(');
      kcp_inbox_take (letter->inbox);
      g_string_append_c (letter->log, ')');
    }
  if (letter->close)
    kcp_inbox_close (letter->inbox);
}

static void
drop_letter (gpointer data)
{
  Letter *letter = data;

  g_string_append_c (letter->log, (char) g_ascii_toupper (letter->name));
}

static void
test_inbox_order (void)
{
  g_autoptr (KcpInbox) inbox = kcp_inbox_new ();
  g_autoptr (GString) log = g_string_new (NULL);
  Letter a = { inbox, log, 'a', 0, FALSE, FALSE };
  Letter b = { inbox, log, 'b', 0, FALSE, FALSE };

  g_assert_false (is_readable (inbox));
  kcp_inbox_take (inbox);
  kcp_inbox_post (inbox, read_letter, &a, drop_letter);
  kcp_inbox_post (inbox, read_letter, &b, drop_letter);
  g_assert_true (is_readable (inbox));
  kcp_inbox_take (inbox);
  g_assert_cmpstr (log->str, ==, "aAbB");
  g_assert_false (is_readable (inbox));
}

/* What is posted while letters are read is not forgotten, and does not keep the reader for ever. */
static void
test_inbox_post_inside (void)
{
  g_autoptr (KcpInbox) inbox = kcp_inbox_new ();
  g_autoptr (GString) log = g_string_new (NULL);
  Letter a = { inbox, log, 'a', 3, FALSE, FALSE };

  kcp_inbox_post (inbox, read_letter, &a, NULL);
  kcp_inbox_take (inbox);
  g_assert_cmpstr (log->str, ==, "a");
  g_assert_true (is_readable (inbox));
  kcp_inbox_take (inbox);
  g_assert_cmpstr (log->str, ==, "a+++");
  g_assert_false (is_readable (inbox));
}

/* A letter may run user code, and that a main loop: the letters behind it go on there, in their
 * order, and the inbox tells that they are there. */
static void
test_inbox_nested (void)
{
  g_autoptr (KcpInbox) inbox = kcp_inbox_new ();
  g_autoptr (GString) log = g_string_new (NULL);
  Letter a = { inbox, log, 'a', 1, TRUE, FALSE };
  Letter b = { inbox, log, 'b', 0, FALSE, FALSE };
  Letter c = { inbox, log, 'c', 0, FALSE, FALSE };

  kcp_inbox_post (inbox, read_letter, &a, NULL);
  kcp_inbox_post (inbox, read_letter, &b, NULL);
  kcp_inbox_post (inbox, read_letter, &c, NULL);
  kcp_inbox_take (inbox);
  g_assert_cmpstr (log->str, ==, "a(bc+)");
  g_assert_false (is_readable (inbox));
}

static void
test_inbox_close (void)
{
  g_autoptr (KcpInbox) inbox = kcp_inbox_new ();
  g_autoptr (GString) log = g_string_new (NULL);
  Letter a = { inbox, log, 'a', 0, FALSE, FALSE };
  Letter closing = { inbox, log, 'x', 0, FALSE, TRUE };

  kcp_inbox_post (inbox, read_letter, &a, drop_letter);
  kcp_inbox_post (inbox, read_letter, &closing, drop_letter);
  kcp_inbox_post (inbox, read_letter, &a, drop_letter);
  kcp_inbox_take (inbox);
  g_assert_cmpstr (log->str, ==, "aAxAX");   /* the second “a” is dropped unread */
  g_assert_cmpint (kcp_inbox_get_fd (inbox), ==, -1);

  kcp_inbox_post (inbox, read_letter, &a, drop_letter);
  kcp_inbox_post (inbox, read_letter, &a, NULL);
  g_assert_cmpstr (log->str, ==, "aAxAXA");
  kcp_inbox_close (inbox);
  kcp_inbox_take (inbox);
}

#define LETTERS 20000
#define WRITERS 3

typedef struct
{
  KcpInbox *inbox;
  guint next;    /* that the reader expects */
  guint read, dropped;
} Writer;

typedef struct
{
  Writer *writer;
  guint number;
} Numbered;

static void
read_number (gpointer data)
{
  Numbered *numbered = data;

  g_assert_cmpuint (numbered->number, ==, numbered->writer->next++);
  numbered->writer->read++;
}

static void
drop_number (gpointer data)
{
  Numbered *numbered = data;

  g_atomic_int_inc (&numbered->writer->dropped);
  g_free (numbered);
}

static gpointer
write_letters (gpointer data)
{
  Writer *writer = data;

  for (guint i = 0; i < LETTERS; i++)
    {
      Numbered *numbered = g_new (Numbered, 1);

      *numbered = (Numbered) { writer, i };
      kcp_inbox_post (writer->inbox, read_number, numbered, drop_number);
    }

  kcp_inbox_unref (writer->inbox);
  return NULL;
}

/* Each thread's letters arrive in its order and once; some come when nobody reads any more. */
static void
test_inbox_threads (void)
{
  KcpInbox *inbox = kcp_inbox_new ();
  Writer writers[WRITERS] = { 0 };
  GThread *threads[WRITERS];

  for (guint i = 0; i < WRITERS; i++)
    {
      writers[i].inbox = kcp_inbox_ref (inbox);
      threads[i] = g_thread_new ("writer", write_letters, &writers[i]);
    }

  while (writers[0].read < LETTERS / 2)
    {
      struct pollfd fd = { kcp_inbox_get_fd (inbox), POLLIN, 0 };

      g_assert_cmpint (poll (&fd, 1, 60 * 1000), ==, 1);
      kcp_inbox_take (inbox);
    }
  kcp_inbox_close (inbox);
  kcp_inbox_unref (inbox);

  for (guint i = 0; i < WRITERS; i++)
    {
      g_thread_join (threads[i]);
      g_assert_cmpuint (writers[i].dropped, ==, LETTERS);
      g_assert_cmpuint (writers[i].read, <=, LETTERS);
    }
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/deadlines/order", test_order);
  g_test_add_func ("/deadlines/remove", test_remove);
  g_test_add_func ("/deadlines/again", test_again);
  g_test_add_func ("/deadlines/remove-other", test_remove_other);
  g_test_add_func ("/inbox/order", test_inbox_order);
  g_test_add_func ("/inbox/post-inside", test_inbox_post_inside);
  g_test_add_func ("/inbox/nested", test_inbox_nested);
  g_test_add_func ("/inbox/close", test_inbox_close);
  g_test_add_func ("/inbox/threads", test_inbox_threads);

  return g_test_run ();
}
