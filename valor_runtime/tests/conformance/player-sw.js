// The service worker as it is, whose console the runner can read.

import "./player-log.js";
import "./valor-sw.js";
