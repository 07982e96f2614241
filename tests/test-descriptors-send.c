/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fd-link.h"

#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* Descriptors on their way through a crowd: to each message its own, whatever stands before it, goes
 * from in front of it, or keeps it waiting. */

/* Frames of all sizes, with descriptors and without, through a socket that is full most of the
 * time: each call still has its own. */
static void
check_numbered (Side          *side,
                KcpInvocation *invocation)
{
  g_autofree char *name = g_strdup (kcp_invocation_get_path (invocation));
  char *count = strchr (name, ' ');

  *count = '\0';
  check_message (kcp_invocation_get_message (invocation), name, (guint) g_ascii_strtoull (count + 1, NULL, 10));
  kcp_invocation_reply (invocation, NULL);
}

static void
test_crowd (void)
{
  LEAK_CHECK_BEGIN;
  Pair *pair = pair_new (TRUE);
  const guint n = 150;
  g_autofree Answer *answers = g_new0 (Answer, n);
  g_autofree guint8 *noise = g_malloc0 (300000);

  pair->child.handler = check_numbered;
  for (guint i = 0; i < n; i++)
    {
      guint count = g_test_rand_bit () ? (guint) g_test_rand_int_range (1, 17) : 0;
      g_autoptr (GBytes) body = g_bytes_new (noise, (gsize) g_test_rand_int_range (0, i % 3 ? 100 : 300000));
      g_autofree char *name = g_strdup_printf ("call-%u", i);
      g_autofree char *path = g_strdup_printf ("%s %u", name, count);
      g_autoptr (KcpMessage) fds = make_message (NULL, name, count);
      KcpMessage *message = kcp_message_new_bytes (path, body, "application/octet-stream");

      kcp_message_set_fd_list (message, kcp_message_get_fd_list (fds));
      ask (&pair->host, message, NULL, &answers[i]);
    }
  for (guint i = 0; i < n; i++)
    {
      WAIT_FOR (answers[i].done);
      g_assert_no_error (answers[i].error);
      answer_clear (&answers[i]);
    }

  pair_free (pair);
  LEAK_CHECK_END;
}

/* So many are taken back that the rest moves together, with what belongs to it. */
static void
test_compaction (void)
{
  enum { N = 120 };
  LEAK_CHECK_BEGIN;
  Pair *pair = pair_new (TRUE);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autofree guint8 *noise = g_malloc0 (1500);
  Answer answers[N] = { { FALSE } };

  fill_socket (pair, 2);
  for (guint i = 0; i < N; i++)
    {
      g_autofree char *name = g_strdup_printf ("call-%u", i);
      g_autofree char *path = g_strdup_printf ("%s 2", name);
      g_autoptr (GBytes) body = g_bytes_new (noise, 1500);
      g_autoptr (KcpMessage) fds = make_message (NULL, name, 2);
      KcpMessage *message = kcp_message_new_bytes (path, body, "application/octet-stream");

      kcp_message_set_fd_list (message, kcp_message_get_fd_list (fds));
      ask (&pair->host, message, i % 4 ? cancellable : NULL, &answers[i]);
    }
  g_cancellable_cancel (cancellable);
  WAIT_FOR (answers[N - 1].done);
  WAIT_FOR (pair->child.kept->len == 2 + N / 4);
  for (guint i = 2; i < pair->child.kept->len; i++)
    check_numbered (&pair->child, pair->child.kept->pdata[i]);
  for (guint i = 0; i < N; i++)
    {
      WAIT_FOR (answers[i].done);
      g_assert_cmpint (answers[i].error == NULL, ==, i % 4 == 0);
      answer_clear (&answers[i]);
    }

  pair_free (pair);
  LEAK_CHECK_END;
}

/* The kernel lets a user have only so many descriptors on their way; what is over waits. */
static void
test_in_flight_limit (void)
{
  const struct rlimit limit = { 128, 128 };
  Answer answers[40] = { { FALSE } };
  g_autoptr (KcpMessage) fds = NULL;
  g_autoptr (Pair) pair = NULL;

  if (!g_test_subprocess ())
    {
      g_test_trap_subprocess (NULL, 0, G_TEST_SUBPROCESS_INHERIT_STDERR);
      g_test_trap_assert_passed ();
      return;
    }

  /* It does not hold for those with privileges; the sanitizer has to look at this process after. */
  if (geteuid () == 0)
    g_assert_no_errno (setresuid (65534, 65534, 65534));
  prctl (PR_SET_DUMPABLE, 1);
  g_assert_no_errno (setrlimit (RLIMIT_NOFILE, &limit));

  pair = pair_new (TRUE);
  pair->child.handler = check_numbered;
  fds = make_message (NULL, "call", 16);
  for (guint i = 0; i < G_N_ELEMENTS (answers); i++)
    {
      KcpMessage *message = kcp_message_new ("call 16", NULL);

      kcp_message_set_fd_list (message, kcp_message_get_fd_list (fds));
      ask (&pair->host, message, NULL, &answers[i]);
    }
  for (guint i = 0; i < G_N_ELEMENTS (answers); i++)
    {
      WAIT_FOR (answers[i].done);
      g_assert_no_error (answers[i].error);
      answer_clear (&answers[i]);
    }
}

/* A message is changed while it waits to be sent. What it announces cannot be sent any more, so the
 * link ends at once, on both sides. */
static void
test_changed (void)
{
  LEAK_CHECK_BEGIN;
  Pair *pair = pair_new (TRUE);
  g_autoptr (KcpMessage) message = make_message ("x", "x", 3);
  g_autofree int *fds = NULL;
  Answer answer = { FALSE };
  int count;

  fill_socket (pair, 2);
  kcp_message_ref (message);
  ask (&pair->host, message, NULL, &answer);
  fds = kcp_message_steal_fds (message, &count);
  for (int i = 0; i < count; i++)
    close (fds[i]);

  g_test_expect_message ("kcp", G_LOG_LEVEL_WARNING, "*changed after it was sent*");
  WAIT_FOR (pair->host.ended && pair->child.ended && answer.done);
  g_test_assert_expected_messages ();
  g_assert_nonnull (answer.error);
  answer_clear (&answer);

  pair_free (pair);
  LEAK_CHECK_END;
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/descriptors-send/crowd", test_crowd);
  g_test_add_func ("/descriptors-send/compaction", test_compaction);
  g_test_add_func ("/descriptors-send/in-flight-limit", test_in_flight_limit);
  g_test_add_func ("/descriptors-send/changed", test_changed);

  return g_test_run ();
}
