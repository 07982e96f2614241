/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <kcp-plugin.h>

#include <stdlib.h>

/* Plugins whose tables are wrong, one for each number that KCP_TEST_BAD is defined to. The entry
 * symbol is written out, because the macro would put it right. */

__attribute__ ((visibility ("default"))) const KcpPlugin *kcp_plugin_v1 (void);

static void
handle (gpointer       self,
        KcpInvocation *invocation)
{
}

static const KcpHandlerEntry doubles[] = {
  { "same", NULL, handle },
  { "other", NULL, handle },
  { "same", NULL, handle },
  { NULL, NULL, NULL },
};

static const KcpHandlerEntry empty_function[] = {
  { "nothing", NULL, NULL },
  { NULL, NULL, NULL },
};

static KcpPlugin plugin = {
  .struct_size = sizeof plugin,
  .abi = KCP_PLUGIN_ABI,
  .name = "bad",
  .handle = handle,
};

const KcpPlugin *
kcp_plugin_v1 (void)
{
  switch (KCP_TEST_BAD)
    {
    case 1:
      return NULL;
    case 2:
      plugin.struct_size = 24;
      break;
    case 3:
      plugin.abi = 4711;
      break;
    case 4:
      plugin.abi = 0;
      break;
    case 5:
      plugin.name = NULL;
      break;
    case 6:
      plugin.handle = NULL;
      break;
    case 7:
      plugin.handlers = doubles;
      break;
    case 8:
      plugin.handlers = empty_function;
      break;
    case 9:
      for (volatile int i = 0;; i++)
        ;
    case 10:
      abort ();
    default:
      break;
    }

  return &plugin;
}
