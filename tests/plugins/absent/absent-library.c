/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* There when the plugin is linked, away when it is loaded. */
int kcp_test_absent_function (void);

int
kcp_test_absent_function (void)
{
  return 0;
}
