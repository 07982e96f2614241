/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Loads, and is no plugin. */
int an_ordinary_library = 1;
