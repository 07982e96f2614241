/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The stub: one small program for every plugin. All of it is in the library, which the plugins
 * link as well, so that both share one set of types. */

#include "kcp-stub-private.h"

int
main (int    argc,
      char **argv)
{
  return kcp_stub_main (argc, argv);
}
