/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <kcp-plugin.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Plugins that do harm while they are being opened, as KCP_TEST_BAD says. */

static void
handle (gpointer       self,
        KcpInvocation *invocation)
{
  kcp_invocation_reply (invocation, NULL);
}

static KcpPlugin plugin = { .name = "constructor", .handle = handle };

KCP_DEFINE_PLUGIN (plugin)

__attribute__ ((constructor)) static void
construct (void)
{
  int *volatile nowhere = (int *) 8;
  char line[1024];

  switch (KCP_TEST_BAD)
    {
    case 1:
      *nowhere = 1;
      break;
    case 2:
      exit (0);
    case 3:
      for (volatile int i = 0;; i++)
        ;
    case 4:
      /* A megabyte that nobody has asked for, on the two descriptors that everybody knows. */
      memset (line, 'n', sizeof line);
      line[sizeof line - 1] = '\n';
      for (int i = 0; i < 1024; i++)
        {
          fwrite (line, 1, sizeof line, stdout);
          fwrite (line, 1, sizeof line, stderr);
        }
      fflush (stdout);
      break;
    case 5:
      fprintf (stderr, "constructor: no ünicorn found\n");
      exit (77);
    default:
      break;
    }
}
