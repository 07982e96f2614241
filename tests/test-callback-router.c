/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "calls-test.h"

/* What may answer a child's calls: handlers of one's own, the router, the one that serves nothing. */

/* ---- a handler as an application writes it ---- */

#define TEST_TYPE_HANDLER (test_handler_get_type ())
G_DECLARE_FINAL_TYPE (TestHandler, test_handler, TEST, HANDLER, GObject)

struct _TestHandler
{
  GObject parent_instance;

  char *name;
  guint calls;
};

static void
test_handler_handle (KcpCallbackHandler *handler,
                     KcpInvocation      *invocation)
{
  TestHandler *self = TEST_HANDLER (handler);
  g_autofree char *text = g_strdup_printf ("%s: %s", self->name, kcp_invocation_get_path (invocation));

  self->calls++;
  kcp_invocation_reply (invocation, json_node_init_string (json_node_alloc (), text));
}

static void
test_handler_iface_init (KcpCallbackHandlerInterface *iface)
{
  iface->handle = test_handler_handle;
}

G_DEFINE_FINAL_TYPE_WITH_CODE (TestHandler, test_handler, G_TYPE_OBJECT,
                               G_IMPLEMENT_INTERFACE (KCP_TYPE_CALLBACK_HANDLER, test_handler_iface_init))

static void
test_handler_finalize (GObject *object)
{
  g_free (TEST_HANDLER (object)->name);
  G_OBJECT_CLASS (test_handler_parent_class)->finalize (object);
}

static void
test_handler_class_init (TestHandlerClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = test_handler_finalize;
}

static void
test_handler_init (TestHandler *self)
{
}

static TestHandler *
test_handler_new (const char *name)
{
  TestHandler *self = g_object_new (TEST_TYPE_HANDLER, NULL);

  self->name = g_strdup (name);
  return self;
}

/* ---- in front of a child ---- */

static void
expect_back (KcpActor   *actor,
             const char *path,
             const char *expected)
{
  g_autofree char *json = g_strdup_printf ("{\"path\":\"%s\"}", path);
  g_autofree char *text = g_strdup_printf ("\"%s\"", expected);

  calls_expect (actor, "ask-host", json, text);
}

static void
expect_unknown (KcpActor   *actor,
                const char *path)
{
  g_autofree char *json = g_strdup_printf ("{\"path\":\"%s\"}", path);

  calls_expect_error (actor, "ask-host", json, KCP_ERROR, KCP_ERROR_UNKNOWN_PATH, path);
}

static void
answer_with_data (KcpInvocation *invocation,
                  gpointer       data)
{
  kcp_invocation_reply (invocation, json_node_init_string (json_node_alloc (), data));
}

static void
test_own_handler (void)
{
  TestHandler *handler = test_handler_new ("own");
  KcpActor *actor = calls_spawn (KCP_CALLBACK_HANDLER (handler));

  expect_back (actor, "a", "own: a");
  expect_back (actor, "b/c", "own: b/c");
  g_assert_cmpuint (handler->calls, ==, 2);
  kcp_test_end (actor);
  g_assert_finalize_object (handler);
}

/* One handler for two children. */
static void
test_shared (void)
{
  TestHandler *handler = test_handler_new ("shared");
  KcpActor *first = calls_spawn (KCP_CALLBACK_HANDLER (handler));
  KcpActor *second = calls_spawn (KCP_CALLBACK_HANDLER (handler));

  expect_back (first, "a", "shared: a");
  expect_back (second, "a", "shared: a");
  kcp_test_end (first);
  expect_back (second, "a", "shared: a");
  kcp_test_end (second);
  g_assert_cmpuint (handler->calls, ==, 3);
  g_assert_finalize_object (handler);
}

static void
test_noop (void)
{
  g_autoptr (KcpCallbackHandler) noop = kcp_noop_callback_handler_new ();
  KcpActor *actor;

  g_assert_true (KCP_IS_NOOP_CALLBACK_HANDLER (noop));
  actor = calls_spawn (noop);
  expect_unknown (actor, "anything");
  calls_expect (actor, "tell-host", "{\"count\":2}", "2");
  kcp_test_end (actor);
}

static void
test_routes (void)
{
  g_autoptr (KcpCallbackRouter) router = kcp_callback_router_new ();
  g_autoptr (TestHandler) handler = test_handler_new ("handler");
  g_autoptr (TestHandler) fallback = test_handler_new ("fallback");
  KcpActor *actor;

  g_assert_true (kcp_callback_router_add (router, "one", KCP_CALLBACK_HANDLER (handler), NULL));
  g_assert_true (kcp_callback_router_add (router, "two", KCP_CALLBACK_HANDLER (handler), NULL));
  g_assert_true (kcp_callback_router_add_func (router, "func", answer_with_data, (gpointer) "data", NULL,
                                               NULL));
  actor = calls_spawn (KCP_CALLBACK_HANDLER (router));

  expect_back (actor, "one", "handler: one");
  expect_back (actor, "two", "handler: two");
  expect_back (actor, "func", "data");
  expect_unknown (actor, "three");
  /* Whole paths, not beginnings. */
  expect_unknown (actor, "one/more");
  expect_unknown (actor, "on");

  kcp_callback_router_set_fallback (router, KCP_CALLBACK_HANDLER (fallback));
  expect_back (actor, "three", "fallback: three");
  expect_back (actor, "one", "handler: one");
  g_assert_true (kcp_callback_router_remove (router, "one"));
  g_assert_false (kcp_callback_router_remove (router, "one"));
  expect_back (actor, "one", "fallback: one");
  kcp_callback_router_set_fallback (router, NULL);
  expect_unknown (actor, "one");
  expect_back (actor, "two", "handler: two");

  /* Added while the child runs. */
  g_assert_true (kcp_callback_router_add_func (router, "one", answer_with_data, (gpointer) "again", NULL,
                                               NULL));
  expect_back (actor, "one", "again");
  kcp_test_end (actor);
}

/* A router is a handler: one for a part of the paths may be the fallback of another. */
static void
test_router_in_router (void)
{
  g_autoptr (KcpCallbackRouter) outer = kcp_callback_router_new ();
  g_autoptr (KcpCallbackRouter) inner = kcp_callback_router_new ();
  KcpActor *actor;

  g_assert_true (kcp_callback_router_add_func (outer, "a", answer_with_data, (gpointer) "outer", NULL, NULL));
  g_assert_true (kcp_callback_router_add_func (inner, "a", answer_with_data, (gpointer) "never", NULL, NULL));
  g_assert_true (kcp_callback_router_add_func (inner, "b", answer_with_data, (gpointer) "inner", NULL, NULL));
  kcp_callback_router_set_fallback (outer, KCP_CALLBACK_HANDLER (inner));
  actor = calls_spawn (KCP_CALLBACK_HANDLER (outer));
  expect_back (actor, "a", "outer");
  expect_back (actor, "b", "inner");
  expect_unknown (actor, "c");
  kcp_test_end (actor);
}

typedef struct
{
  KcpCallbackRouter *router;
  gboolean freed;
} Once;

static void
answer_once (KcpInvocation *invocation,
             gpointer       data)
{
  Once *once = data;

  g_assert_true (kcp_callback_router_remove (once->router, "once"));
  g_assert_false (once->freed);
  kcp_invocation_reply (invocation, json_node_init_string (json_node_alloc (), "once"));
}

static void
mark_freed (gpointer data)
{
  ((Once *) data)->freed = TRUE;
}

static void
test_removes_itself (void)
{
  g_autoptr (KcpCallbackRouter) router = kcp_callback_router_new ();
  Once once = { router, FALSE };
  KcpActor *actor;

  g_assert_true (kcp_callback_router_add_func (router, "once", answer_once, &once, mark_freed, NULL));
  actor = calls_spawn (KCP_CALLBACK_HANDLER (router));
  expect_back (actor, "once", "once");
  g_assert_true (once.freed);
  expect_unknown (actor, "once");
  kcp_test_end (actor);
}

/* ---- without a child ---- */

static void
count_free (gpointer data)
{
  ++*(guint *) data;
}

static void
test_registering (void)
{
  KcpCallbackRouter *router = kcp_callback_router_new ();
  TestHandler *handler = test_handler_new ("handler");
  g_autofree char *longest = g_strnfill (255, 'p');
  g_autofree char *longer = g_strnfill (256, 'p');
  const char *bad[] = { "", longer, "a\nb", "\xff", "\x7f" };
  guint freed = 0;

  g_assert_true (kcp_callback_router_add_func (router, "a", answer_with_data, &freed, count_free, NULL));
  g_assert_true (kcp_callback_router_add_func (router, longest, answer_with_data, &freed, count_free, NULL));
  g_assert_true (kcp_callback_router_add (router, "b", KCP_CALLBACK_HANDLER (handler), NULL));

  /* What is refused is not taken: neither freed nor kept. */
  for (int i = 0; i < 2; i++)
    {
      g_autoptr (GError) error = NULL;
      const char *path = i == 0 ? "a" : "b";

      g_assert_false (kcp_callback_router_add_func (router, path, answer_with_data, &freed, count_free,
                                                    &error));
      kcp_test_assert_error (error, KCP_ERROR, KCP_ERROR_DUPLICATE_PATH, path);
      g_assert_false (kcp_callback_router_add (router, path, KCP_CALLBACK_HANDLER (handler), NULL));
    }
  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_false (kcp_callback_router_add_func (router, bad[i], answer_with_data, &freed, count_free,
                                                    &error));
      kcp_test_assert_error (error, KCP_ERROR, KCP_ERROR_INVALID_ARGUMENT, "path");
    }
  g_assert_cmpuint (freed, ==, 0);

  g_assert_true (kcp_callback_router_remove (router, "a"));
  g_assert_cmpuint (freed, ==, 1);
  kcp_callback_router_set_fallback (router, KCP_CALLBACK_HANDLER (handler));
  g_assert_finalize_object (router);
  g_assert_cmpuint (freed, ==, 2);
  g_assert_finalize_object (handler);
}

int
main (int    argc,
      char **argv)
{
  kcp_test_init (&argc, &argv);
  kcp_test_add ("/callback-handler/own", test_own_handler);
  kcp_test_add ("/callback-handler/shared", test_shared);
  kcp_test_add ("/callback-handler/noop", test_noop);
  kcp_test_add ("/callback-router/routes", test_routes);
  kcp_test_add ("/callback-router/in-router", test_router_in_router);
  kcp_test_add ("/callback-router/removes-itself", test_removes_itself);
  kcp_test_add ("/callback-router/registering", test_registering);
  return kcp_test_run ();
}
