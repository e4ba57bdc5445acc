// A page of work under way looks again by itself; without scripts the page's own refresh does it.
"use strict";
window.setTimeout(() => window.location.reload(), 2000);
