/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-error.h"
#include "kcp-invocation-private.h"
#include "kcp-router-private.h"

#include <string.h>

/* The table of handlers. The owner of the invocations writes down what would be sent: i, e or the
 * name of an error. */

typedef struct
{
  KcpInbox *inbox;
  GString *log;
} Owner;

static void
on_answer (gpointer        data,
           KcpInvocation  *invocation,
           KcpAnswer       kind,
           KcpMessage     *message,
           const GError   *error)
{
  Owner *owner = data;

  if (error)
    g_string_append_printf (owner->log, "[%s]",
                            error->domain == KCP_ERROR ? kcp_error_to_string ((KcpError) error->code)
                                                       : error->message);
  else
    g_string_append_c (owner->log, kind == KCP_ANSWER_ITEM ? 'i' : 'e');
}

static const KcpInvocationOps ops = { .answer = on_answer };

static void
owner_init (Owner *owner)
{
  *owner = (Owner) { kcp_inbox_new (), g_string_new (NULL) };
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

static KcpRouter *router;

static void
serve (KcpInvocation *invocation,
       gpointer       data)
{
  JsonNode *node = json_node_init_string (json_node_alloc (), data);

  kcp_invocation_send_item (invocation, node);
  kcp_invocation_reply (invocation, NULL);
}

static void
fall_back (KcpInvocation *invocation,
           gpointer       data)
{
  kcp_invocation_fail_printf (invocation, G_IO_ERROR, G_IO_ERROR_FAILED, "%s", (const char *) data);
}

static void
note_gone (gpointer data)
{
  *(gboolean *) data = TRUE;
}

static void
remove_itself (KcpInvocation *invocation,
               gpointer       data)
{
  gboolean *gone = data;

  g_assert_true (kcp_router_remove (router, kcp_invocation_get_path (invocation)));
  g_assert_false (kcp_router_remove (router, kcp_invocation_get_path (invocation)));
  g_assert_false (*gone);   /* its data lives until it returns */
  kcp_invocation_reply (invocation, NULL);
}

static void
free_router (KcpInvocation *invocation,
             gpointer       data)
{
  g_clear_pointer (&router, kcp_router_free);
  g_assert_false (*(gboolean *) data);
  kcp_invocation_reply (invocation, NULL);
}

static void
route (Owner      *owner,
       const char *path)
{
  g_autoptr (KcpInvocation) invocation = new_invocation (owner, path);

  g_string_truncate (owner->log, 0);
  kcp_router_route (router, invocation);
}

static void
test_router (void)
{
  g_auto (Owner) owner = { 0 };
  g_autoptr (GError) error = NULL;

  owner_init (&owner);
  router = kcp_router_new ();
  g_assert_true (kcp_router_add (router, "a", serve, (gpointer) "x", NULL, &error));
  g_assert_false (kcp_router_add (router, "a", serve, (gpointer) "y", NULL, &error));
  g_assert_error (error, KCP_ERROR, KCP_ERROR_DUPLICATE_PATH);
  g_assert_nonnull (strstr (error->message, "“a”"));

  route (&owner, "a");
  g_assert_cmpstr (owner.log->str, ==, "ie");
  route (&owner, "A");
  g_assert_cmpstr (owner.log->str, ==, "[unknown-path]");

  kcp_router_set_fallback (router, fall_back, (gpointer) "fell", NULL);
  route (&owner, "A");
  g_assert_cmpstr (owner.log->str, ==, "[fell]");
  route (&owner, "a");
  g_assert_cmpstr (owner.log->str, ==, "ie");

  g_assert_true (kcp_router_remove (router, "a"));
  route (&owner, "a");
  g_assert_cmpstr (owner.log->str, ==, "[fell]");
  kcp_router_set_fallback (router, NULL, NULL, NULL);
  route (&owner, "a");
  g_assert_cmpstr (owner.log->str, ==, "[unknown-path]");
  g_clear_pointer (&router, kcp_router_free);
}

static void
test_router_bad_paths (void)
{
  g_autofree char *longest = g_strnfill (255, 'p');
  g_autofree char *too_long = g_strnfill (256, 'p');
  const char *bad[] = { "", "a\n", "\x1b[2J", "a\x7f", "\xc3\x28", too_long };
  gboolean gone = FALSE;

  router = kcp_router_new ();
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_false (kcp_router_add (router, bad[i], serve, &gone, note_gone, &error));
      g_assert_error (error, KCP_ERROR, KCP_ERROR_INVALID_ARGUMENT);
      g_assert_true (g_utf8_validate (error->message, -1, NULL));
      g_assert_null (strchr (error->message, '\x1b'));
      g_assert_false (gone);   /* not taken */
    }
  g_assert_true (kcp_router_add (router, longest, serve, &gone, note_gone, NULL));
  g_clear_pointer (&router, kcp_router_free);
  g_assert_true (gone);
}

static void
test_router_remove_itself (void)
{
  g_auto (Owner) owner = { 0 };
  gboolean gone = FALSE, freed = FALSE, fallback_freed = FALSE;

  owner_init (&owner);
  router = kcp_router_new ();
  g_assert_true (kcp_router_add (router, "a", remove_itself, &gone, note_gone, NULL));
  route (&owner, "a");
  g_assert_cmpstr (owner.log->str, ==, "e");
  g_assert_true (gone);

  g_assert_true (kcp_router_add (router, "b", free_router, &freed, note_gone, NULL));
  route (&owner, "b");
  g_assert_cmpstr (owner.log->str, ==, "e");
  g_assert_true (freed);

  router = kcp_router_new ();
  kcp_router_set_fallback (router, free_router, &fallback_freed, note_gone);
  route (&owner, "c");
  g_assert_true (fallback_freed);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/router/routes", test_router);
  g_test_add_func ("/router/bad-paths", test_router_bad_paths);
  g_test_add_func ("/router/remove-itself", test_router_remove_itself);

  return g_test_run ();
}
