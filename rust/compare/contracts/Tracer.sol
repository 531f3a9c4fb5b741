// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

/// A small ray tracer in whole numbers: spheres over a floor, one light, shadows, mirrors. Scene in storage, vectors
/// in memory, recursion for the mirrors: what a heavy computation written in Solidity does to a virtual machine.
contract Tracer {
    int256 private constant ONE = 1_000_000;
    int256 private constant FAR = 1_000_000 * ONE;
    uint256 private constant BOUNCES = 3;

    struct Vector {
        int256 x;
        int256 y;
        int256 z;
    }

    struct Ray {
        Vector origin;
        Vector direction;
    }

    struct Sphere {
        Vector centre;
        int256 radius;
        Vector colour;
        int256 mirror;
    }

    Sphere[] private spheres;
    Vector private light;

    /// The sum of the colours of `width` times `height` pixels.
    function render(int256 width, int256 height) external returns (int256 red, int256 green, int256 blue) {
        build();
        for (int256 row = 0; row < height; row++) {
            for (int256 column = 0; column < width; column++) {
                Vector memory direction = unit(
                    Vector((2 * column - width) * ONE / width, (height - 2 * row) * ONE / width, 2 * ONE)
                );
                Vector memory colour = trace(Ray(Vector(0, ONE, -5 * ONE), direction), 0);
                red += colour.x;
                green += colour.y;
                blue += colour.z;
            }
        }
    }

    function build() private {
        delete spheres;
        spheres.push(Sphere(Vector(0, -1_000 * ONE, 0), 1_000 * ONE, Vector(ONE / 2, ONE / 2, ONE / 2), ONE / 10));
        spheres.push(Sphere(Vector(0, ONE, 0), ONE, Vector(ONE, ONE / 5, ONE / 5), ONE / 4));
        spheres.push(Sphere(Vector(2 * ONE, ONE, ONE), ONE, Vector(ONE / 5, ONE, ONE / 5), ONE / 2));
        spheres.push(Sphere(Vector(-2 * ONE, ONE, ONE), ONE, Vector(ONE / 5, ONE / 5, ONE), 3 * ONE / 4));
        light = unit(Vector(ONE, 2 * ONE, -ONE));
    }

    function trace(Ray memory ray, uint256 bounce) private view returns (Vector memory colour) {
        (int256 distance, uint256 index) = nearest(ray);
        if (index == type(uint256).max) {
            // The sky, brighter towards its height.
            int256 share = (ray.direction.y + ONE) / 2;
            return Vector(ONE - share / 2, ONE - share / 4, ONE);
        }
        Sphere storage sphere = spheres[index];
        Vector memory place = add(ray.origin, scale(ray.direction, distance));
        Vector memory normal = unit(sub(place, sphere.centre));
        // A little outside, so that a shadow does not fall on what casts it.
        Vector memory start = add(place, scale(normal, ONE / 1_000));
        int256 lit = dot(normal, light);
        if (lit > 0) {
            (, uint256 blocker) = nearest(Ray(start, light));
            if (blocker != type(uint256).max) lit = 0;
        } else {
            lit = 0;
        }
        colour = scale(sphere.colour, ONE / 10 + lit * 9 / 10);
        if (sphere.mirror > 0 && bounce < BOUNCES) {
            int256 along = 2 * dot(ray.direction, normal);
            Vector memory reflected = unit(sub(ray.direction, scale(normal, along)));
            Vector memory seen = trace(Ray(start, reflected), bounce + 1);
            colour = add(scale(colour, ONE - sphere.mirror), scale(seen, sphere.mirror));
        }
    }

    /// Where the ray meets a sphere first.
    function nearest(Ray memory ray) private view returns (int256 distance, uint256 index) {
        distance = FAR;
        index = type(uint256).max;
        uint256 count = spheres.length;
        for (uint256 i = 0; i < count; i++) {
            int256 found = meet(ray, spheres[i]);
            if (found > 0 && found < distance) {
                distance = found;
                index = i;
            }
        }
    }

    function meet(Ray memory ray, Sphere storage sphere) private view returns (int256) {
        Vector memory between = sub(sphere.centre, ray.origin);
        int256 along = dot(between, ray.direction);
        int256 radius = sphere.radius;
        int256 inside = along * along / ONE - dot(between, between) + radius * radius / ONE;
        if (inside < 0) return 0;
        int256 half = root(inside * ONE);
        if (along - half > ONE / 10_000) return along - half;
        if (along + half > ONE / 10_000) return along + half;
        return 0;
    }

    function add(Vector memory a, Vector memory b) private pure returns (Vector memory) {
        return Vector(a.x + b.x, a.y + b.y, a.z + b.z);
    }

    function sub(Vector memory a, Vector memory b) private pure returns (Vector memory) {
        return Vector(a.x - b.x, a.y - b.y, a.z - b.z);
    }

    function scale(Vector memory a, int256 by) private pure returns (Vector memory) {
        return Vector(a.x * by / ONE, a.y * by / ONE, a.z * by / ONE);
    }

    function dot(Vector memory a, Vector memory b) private pure returns (int256) {
        return (a.x * b.x + a.y * b.y + a.z * b.z) / ONE;
    }

    function unit(Vector memory a) private pure returns (Vector memory) {
        int256 length = root(dot(a, a) * ONE);
        return Vector(a.x * ONE / length, a.y * ONE / length, a.z * ONE / length);
    }

    /// The whole part of the square root, by Newton.
    function root(int256 square) private pure returns (int256 guess) {
        if (square == 0) return 0;
        guess = square;
        int256 next = (square + 1) / 2;
        while (next < guess) {
            guess = next;
            next = (square / next + next) / 2;
        }
    }
}
