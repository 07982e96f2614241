/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A plugin that says what limits it has, and uses more than it may. */
#include <kcp-plugin.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* A constructor runs in dlopen(), and sees the limits all the same if they are there before it. */
static struct rlimit at_load;

__attribute__ ((constructor)) static void
look_at_load (void)
{
  getrlimit (RLIMIT_NOFILE, &at_load);
}

static gint64
clip (rlim_t value)
{
  return value == RLIM_INFINITY ? -1 : (gint64) value;
}

static int
read_oom_score (void)
{
  g_autofree char *text = NULL;

  return g_file_get_contents ("/proc/self/oom_score_adj", &text, NULL, NULL) ? atoi (text) : G_MININT;
}

/* name: [soft, hard] */
static void
handle_limits (gpointer       self,
               KcpInvocation *invocation)
{
  static const struct
  {
    const char *name;
    int number;
  } rows[] = {
    { "address_space", RLIMIT_AS }, { "cpu", RLIMIT_CPU },         { "files", RLIMIT_NOFILE },
    { "core", RLIMIT_CORE },        { "file_size", RLIMIT_FSIZE },
  };
  JsonObject *object = json_object_new ();
  JsonNode *node = json_node_new (JSON_NODE_OBJECT);

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      JsonArray *pair = json_array_new ();
      struct rlimit limit;

      getrlimit (rows[i].number, &limit);
      json_array_add_int_element (pair, clip (limit.rlim_cur));
      json_array_add_int_element (pair, clip (limit.rlim_max));
      json_object_set_array_member (object, rows[i].name, pair);
    }
  json_object_set_int_member (object, "nice", getpriority (PRIO_PROCESS, 0));
  json_object_set_int_member (object, "oom", read_oom_score ());
  json_object_set_int_member (object, "files_at_load", clip (at_load.rlim_cur));
  json_node_take_object (node, object);
  kcp_invocation_reply (invocation, node);
}

static void
burn (void)
{
  for (volatile guint64 i = 0;; i++)
    ;
}

static void
handle_burn (gpointer       self,
             KcpInvocation *invocation)
{
  burn ();
}

/* Holds out against SIGXCPU. */
static void
handle_burn_on (gpointer       self,
                KcpInvocation *invocation)
{
  signal (SIGXCPU, SIG_IGN);
  burn ();
}

static void
handle_allocate (gpointer       self,
                 KcpInvocation *invocation)
{
  for (;;)
    {
      gpointer block = g_malloc (64 * 1024 * 1024);

      ((volatile char *) block)[0] = 1;
    }
}

static void
handle_write (gpointer       self,
              KcpInvocation *invocation)
{
  static const char bytes[4096];
  FILE *file = tmpfile ();

  while (file && fwrite (bytes, sizeof bytes, 1, file) == 1)
    ;
  kcp_invocation_fail_printf (invocation, G_IO_ERROR, G_IO_ERROR_FAILED, "the file did not grow for ever");
}

/* How many descriptors it can have. */
static void
handle_open (gpointer       self,
             KcpInvocation *invocation)
{
  JsonNode *node = json_node_new (JSON_NODE_VALUE);
  int highest = -1, fd;

  while ((fd = open ("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
    highest = MAX (highest, fd);
  json_node_set_int (node, highest + 1);
  kcp_invocation_reply (invocation, node);
}

static void
handle_die (gpointer       self,
            KcpInvocation *invocation)
{
  raise (SIGKILL);
}

static void
handle_abort (gpointer       self,
              KcpInvocation *invocation)
{
  abort ();
}

static const KcpHandlerEntry handlers[] = {
  { "limits", "what it has", handle_limits },
  { "burn", "uses CPU time without end", handle_burn },
  { "burn-on", "the same, in spite of SIGXCPU", handle_burn_on },
  { "allocate", "uses memory without end", handle_allocate },
  { "write", "writes a file without end", handle_write },
  { "open", "opens all the files it can", handle_open },
  { "die", "is killed", handle_die },
  { "abort", "gives up", handle_abort },
  { NULL, NULL, NULL },
};

static KcpPlugin plugin = {
  .name = "limits",
  .handlers = handlers,
};

KCP_DEFINE_PLUGIN (plugin)
