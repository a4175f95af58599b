// The unchanged service worker, with a console that the runner can read.

import "./player-log.js";
import "./valor-sw.js";
