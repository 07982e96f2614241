/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-error-private.h"

#include <string.h>

/* Names, the domains that are rebuilt, and what a peer can not make us believe. */

static const struct
{
  KcpError code;
  const char *name;
  gboolean from_peer;
} codes[] = {
  { KCP_ERROR_SPAWN_FAILED, "spawn-failed", FALSE },
  { KCP_ERROR_HANDSHAKE_FAILED, "handshake-failed", FALSE },
  { KCP_ERROR_HANDSHAKE_TIMED_OUT, "handshake-timed-out", FALSE },
  { KCP_ERROR_VERSION_MISMATCH, "version-mismatch", FALSE },
  { KCP_ERROR_PLUGIN_LOAD, "plugin-load", FALSE },
  { KCP_ERROR_PLUGIN_ABI, "plugin-abi", FALSE },
  { KCP_ERROR_PLUGIN_START, "plugin-start", FALSE },
  { KCP_ERROR_CHILD_EXITED, "child-exited", FALSE },
  { KCP_ERROR_CHILD_CRASHED, "child-crashed", FALSE },
  { KCP_ERROR_CONNECTION_CLOSED, "connection-closed", FALSE },
  { KCP_ERROR_NOT_RUNNING, "not-running", FALSE },
  { KCP_ERROR_STOPPING, "stopping", TRUE },
  { KCP_ERROR_TIMED_OUT, "timed-out", TRUE },
  { KCP_ERROR_BUSY, "busy", TRUE },
  { KCP_ERROR_TOO_LARGE, "too-large", TRUE },
  { KCP_ERROR_INVALID_MESSAGE, "invalid-message", TRUE },
  { KCP_ERROR_UNKNOWN_PATH, "unknown-path", TRUE },
  { KCP_ERROR_HANDLER_FAILED, "handler-failed", TRUE },
  { KCP_ERROR_UNANSWERED, "unanswered", TRUE },
  { KCP_ERROR_PROTOCOL, "protocol", FALSE },
  { KCP_ERROR_PERMISSION, "permission", TRUE },
  { KCP_ERROR_DUPLICATE_PATH, "duplicate-path", FALSE },
  { KCP_ERROR_INVALID_ARGUMENT, "invalid-argument", TRUE },
};

static void
test_names (void)
{
  KcpError code;

  for (guint i = 0; i < G_N_ELEMENTS (codes); i++)
    {
      g_assert_cmpint (codes[i].code, ==, i);   /* numbers are ABI */
      g_assert_cmpstr (kcp_error_to_string (codes[i].code), ==, codes[i].name);
      g_assert_true (kcp_error_from_string (codes[i].name, &code));
      g_assert_cmpint (code, ==, codes[i].code);
      g_assert_true (kcp_error_from_string (codes[i].name, NULL));
    }

  g_assert_cmpstr (kcp_error_to_string ((KcpError) G_N_ELEMENTS (codes)), ==, "unknown");
  g_assert_cmpstr (kcp_error_to_string ((KcpError) -1), ==, "unknown");
  g_assert_false (kcp_error_from_string ("", &code));
  g_assert_false (kcp_error_from_string ("Busy", &code));
  g_assert_false (kcp_error_from_string ("unknown", &code));
}

static void
assert_remote (const GError *error,
               const char   *domain,
               int           code,
               const char   *message)
{
  g_assert_error (error, KCP_ERROR, KCP_ERROR_HANDLER_FAILED);
  g_assert_cmpstr (kcp_error_get_remote_domain (error), ==, domain);
  g_assert_cmpint (kcp_error_get_remote_code (error), ==, code);
  g_assert_cmpstr (kcp_error_get_remote_message (error), ==, message);
}

/* A child may say of itself that it is busy, not that it has crashed. */
static void
test_own_codes_from_peer (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (codes); i++)
    {
      g_autoptr (GError) error = kcp_error_from_peer ("kcp", codes[i].name, 0, "said so");

      g_assert_cmpstr (error->message, ==, "said so");
      if (codes[i].from_peer)
        {
          g_assert_error (error, KCP_ERROR, (int) codes[i].code);
          g_assert_null (kcp_error_get_remote_domain (error));
          g_assert_cmpint (kcp_error_get_remote_code (error), ==, codes[i].code);
          g_assert_cmpstr (kcp_error_get_remote_message (error), ==, "said so");
        }
      else
        assert_remote (error, "kcp", (int) codes[i].code, "said so");
    }
}

static void
test_forged (void)
{
  g_autoptr (GError) unknown_name = kcp_error_from_peer ("kcp", "from-the-future", 0, "a");
  g_autoptr (GError) by_number = kcp_error_from_peer ("kcp", NULL, KCP_ERROR_CHILD_CRASHED, "b");
  g_autoptr (GError) by_quark = kcp_error_from_peer (g_quark_to_string (KCP_ERROR), NULL,
                                                     KCP_ERROR_CHILD_CRASHED, "c");
  g_autoptr (GError) cancelled = kcp_error_from_peer (g_quark_to_string (G_IO_ERROR), NULL,
                                                      G_IO_ERROR_CANCELLED, "d");
  g_autoptr (GError) again = NULL;

  assert_remote (unknown_name, "kcp", 0, "a");
  assert_remote (by_number, "kcp", KCP_ERROR_CHILD_CRASHED, "b");
  assert_remote (by_quark, g_quark_to_string (KCP_ERROR), KCP_ERROR_CHILD_CRASHED, "c");
  assert_remote (cancelled, "g-io-error-quark", G_IO_ERROR_CANCELLED, "d");

  /* Not even when our own domain is registered by mistake. */
  kcp_error_register_domain (KCP_ERROR);
  again = kcp_error_from_peer (g_quark_to_string (KCP_ERROR), NULL, KCP_ERROR_CHILD_CRASHED, "e");
  assert_remote (again, g_quark_to_string (KCP_ERROR), KCP_ERROR_CHILD_CRASHED, "e");
}

static void
test_known_domains (void)
{
  const GQuark known[] = { G_IO_ERROR, G_FILE_ERROR, G_KEY_FILE_ERROR, G_DBUS_ERROR, JSON_PARSER_ERROR };

  for (guint i = 0; i < G_N_ELEMENTS (known); i++)
    {
      g_autoptr (GError) error = kcp_error_from_peer (g_quark_to_string (known[i]), NULL, 1, "told");

      g_assert_error (error, known[i], 1);
      g_assert_cmpstr (error->message, ==, "told");
      g_assert_null (kcp_error_get_remote_domain (error));
      g_assert_cmpstr (kcp_error_get_remote_message (error), ==, "told");
    }
}

/* A name that nobody has registered is kept as text, and never becomes a quark. */
static void
test_unknown_domain (void)
{
  const char *name = "test-error-domain-nobody-knows";
  g_autoptr (GError) error = kcp_error_from_peer (name, NULL, -7, "what it said");
  g_autoptr (GError) copy = NULL;

  assert_remote (error, name, -7, "what it said");
  g_assert_cmpuint (g_quark_try_string (name), ==, 0);

  g_prefix_error (&error, "call “x”: ");
  g_assert_cmpstr (error->message, ==, "call “x”: what it said");
  copy = g_error_copy (error);
  g_clear_error (&error);
  assert_remote (copy, name, -7, "what it said");
}

static void
test_register_domain (void)
{
  GQuark domain = g_quark_from_static_string ("test-error-domain-of-mine");
  g_autoptr (GError) before = kcp_error_from_peer ("test-error-domain-of-mine", NULL, 3, "x");
  g_autoptr (GError) after = NULL;

  /* That the quark exists is not enough: it may be another plugin's. */
  assert_remote (before, "test-error-domain-of-mine", 3, "x");
  kcp_error_register_domain (domain);
  kcp_error_register_domain (domain);
  after = kcp_error_from_peer ("test-error-domain-of-mine", NULL, 3, "x");
  g_assert_error (after, domain, 3);
}

static gpointer
register_and_look_up (gpointer data)
{
  guint number = GPOINTER_TO_UINT (data);

  for (guint i = 0; i < 200; i++)
    {
      g_autofree char *name = g_strdup_printf ("test-error-thread-%u-%u", number, i);
      GQuark domain = g_quark_from_string (name);
      g_autoptr (GError) error = NULL;

      kcp_error_register_domain (domain);
      error = kcp_error_from_peer (name, NULL, (int) i, "x");
      g_assert_error (error, domain, (int) i);
    }

  return NULL;
}

static void
test_threads (void)
{
  GThread *threads[4];

  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("domains", register_and_look_up, GUINT_TO_POINTER (i));
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
}

/* Errors of other domains have nothing of ours in them and may be asked all the same. */
static void
test_other_errors (void)
{
  g_autoptr (GError) io = g_error_new_literal (G_IO_ERROR, G_IO_ERROR_EXISTS, "there");
  g_autoptr (GError) own = g_error_new_literal (KCP_ERROR, KCP_ERROR_BUSY, "full");

  g_assert_null (kcp_error_get_remote_domain (io));
  g_assert_cmpint (kcp_error_get_remote_code (io), ==, G_IO_ERROR_EXISTS);
  g_assert_cmpstr (kcp_error_get_remote_message (io), ==, "there");
  g_assert_null (kcp_error_get_remote_domain (own));
  g_assert_cmpint (kcp_error_get_remote_code (own), ==, KCP_ERROR_BUSY);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/error/names", test_names);
  g_test_add_func ("/error/own-codes-from-peer", test_own_codes_from_peer);
  g_test_add_func ("/error/forged", test_forged);
  g_test_add_func ("/error/known-domains", test_known_domains);
  g_test_add_func ("/error/unknown-domain", test_unknown_domain);
  g_test_add_func ("/error/register-domain", test_register_domain);
  g_test_add_func ("/error/threads", test_threads);
  g_test_add_func ("/error/other-errors", test_other_errors);

  return g_test_run ();
}
