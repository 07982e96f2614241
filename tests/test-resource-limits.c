/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-error.h"
#include "kcp-exit-hint-private.h"

#include <signal.h>
#include <string.h>

/* Limits as OPEN carries them, and what an exit report makes of them; without a child. */

static gboolean
decode (const char         *text,
        KcpResourceLimits  *limits,
        GError            **error)
{
  g_autoptr (JsonNode) node = json_from_string (text, NULL);

  g_assert_nonnull (node);
  return kcp_resource_limits_decode (node, limits, error);
}

static void
test_round_trip (void)
{
  const guint64 values[] = { 0, 1, 1000000, G_MAXINT64, KCP_RESOURCE_UNLIMITED };

  for (guint set = 0; set < 1u << KCP_N_RESOURCES; set++)
    {
      KcpResourceLimits limits = { .set = set }, back;
      g_autoptr (JsonNode) node = json_node_new (JSON_NODE_OBJECT);
      g_autoptr (GError) error = NULL;
      JsonObject *object;

      for (guint i = 0; i < KCP_N_RESOURCES; i++)
        if (set & (1u << i))
          limits.values[i] = values[(set + i) % G_N_ELEMENTS (values)];
      limits.has_nice = set % 3 == 0;
      limits.nice = set % 3 == 0 ? (int) (set % 40) - 20 : 0;
      limits.has_oom_score = set % 4 == 0;
      limits.oom_score = set % 4 == 0 ? -1000 : 0;

      object = kcp_resource_limits_encode (&limits);
      if (object == NULL)
        continue;
      json_node_take_object (node, object);
      g_assert_true (kcp_resource_limits_decode (node, &back, &error));
      g_assert_cmpmem (&back, sizeof back, &limits, sizeof limits);
    }
}

static void
test_none (void)
{
  KcpResourceLimits limits = { .set = 7 }, none = { .set = 0 };

  g_assert_null (kcp_resource_limits_encode (&none));
  g_assert_true (kcp_resource_limits_decode (NULL, &limits, NULL));
  g_assert_cmpuint (limits.set, ==, 0);
}

static void
test_refused (void)
{
  static const char *const texts[] = {
    "[]", "null", "1", "{\"open_files\": \"many\"}", "{\"open_files\": -2}", "{\"open_files\": 1.5}",
    "{\"open_files\": null}", "{\"nice\": 20}", "{\"nice\": -21}", "{\"oom_score_adj\": 1001}", "{\"swap\": 1}",
  };

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      KcpResourceLimits limits;
      g_autoptr (GError) error = NULL;

      g_assert_false (decode (texts[i], &limits, &error));
      g_assert_error (error, KCP_ERROR, KCP_ERROR_PROTOCOL);
    }
}

typedef struct
{
  const char *name;
  int number;          /* 0: it has exited */
  KcpResource resource;
  guint64 limit;       /* 0: none */
  gboolean killed;
  int cpu_seconds;
  const char *last_words;
  const char *hint;    /* part of it; NULL: none */
} Row;

static const Row rows[] = {
  { "exit", 0, KCP_RESOURCE_CPU_TIME, 1, FALSE, 5, "", NULL },
  { "cpu", SIGXCPU, KCP_RESOURCE_CPU_TIME, 3, FALSE, 3, "", "over its CPU limit: 3 s of CPU time" },
  { "cpu/of-the-host", SIGXCPU, 0, 0, FALSE, 3, "", "over its CPU limit" },
  { "cpu/killed", SIGKILL, KCP_RESOURCE_CPU_TIME, 3, FALSE, 5, "", "over its CPU limit: 3 s of CPU time" },
  { "cpu/killed-before", SIGKILL, KCP_RESOURCE_CPU_TIME, 3, FALSE, 2, "", "perhaps the kernel was out of memory" },
  { "file", SIGXFSZ, KCP_RESOURCE_FILE_SIZE, 5, FALSE, 0, "", "over its file size limit: 5 bytes in a file" },
  { "kill/ours", SIGKILL, KCP_RESOURCE_CPU_TIME, 3, TRUE, 5, "", NULL },
  { "kill/not-ours", SIGKILL, 0, 0, FALSE, 0, "", "perhaps the kernel was out of memory" },
  { "memory/glib", SIGTRAP, KCP_RESOURCE_ADDRESS_SPACE, 9, FALSE, 0, "gmem.c: failed to allocate 3 bytes\n",
    "out of memory, over its limit: 9 bytes of address space" },
  { "memory/c++", SIGABRT, KCP_RESOURCE_ADDRESS_SPACE, 9, FALSE, 0, "what(): std::bad_alloc", "out of memory, over" },
  { "memory/no-limit", SIGABRT, 0, 0, FALSE, 0, "Out of memory", "out of memory" },
  { "memory/silent", SIGABRT, KCP_RESOURCE_ADDRESS_SPACE, 9, FALSE, 0, "", "perhaps out of memory, it has a limit: 9" },
  { "memory/bug", SIGSEGV, KCP_RESOURCE_ADDRESS_SPACE, 9, FALSE, 0, "", NULL },
  { "abort", SIGABRT, 0, 0, FALSE, 0, "assertion failed", NULL },
  { "other", SIGTERM, KCP_RESOURCE_CPU_TIME, 1, FALSE, 9, "Out of memory", NULL },
};

static void
test_hint (gconstpointer data)
{
  const Row *row = data;
  KcpResourceLimits limits = { .set = row->limit ? 1u << row->resource : 0 };
  const KcpExitStatus status = {
    .signalled = row->number != 0, .number = row->number, .user_us = row->cpu_seconds * G_USEC_PER_SEC,
  };
  g_autofree char *hint = NULL;

  limits.values[row->resource] = row->limit;
  hint = kcp_exit_hint (&status, &limits, row->killed, row->last_words);
  if (row->hint == NULL)
    g_assert_null (hint);
  else if (hint == NULL || strstr (hint, row->hint) == NULL)
    g_error ("“%s” is not in “%s”", row->hint, hint ? hint : "nothing");
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/resource-limits/round-trip", test_round_trip);
  g_test_add_func ("/resource-limits/none", test_none);
  g_test_add_func ("/resource-limits/refused", test_refused);
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autofree char *path = g_strdup_printf ("/resource-limits/hint/%s", rows[i].name);

      g_test_add_data_func (path, &rows[i], test_hint);
    }

  return g_test_run ();
}
